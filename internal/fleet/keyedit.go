package fleet

import "slices"

// KeyAct is what an operator does to keys.
type KeyAct string

// The acts.
const (
	ActDisable        KeyAct = "disable"         // active and invalid keys are taken out
	ActEnable         KeyAct = "enable"          // disabled keys are active again
	ActRestore        KeyAct = "restore"         // invalid and active keys are active, without failures and rests
	ActDelete         KeyAct = "delete"          // for good
	ActResetCooldowns KeyAct = "reset_cooldowns" // active keys lose rests, and keep their failures
	ActTest           KeyAct = "test"            // changes what the test finds
	ActSet            KeyAct = "set"             // weight, notes and tags
)

// Done is the word for a key that an act was done to.
func (a KeyAct) Done() string {
	switch a {
	case ActResetCooldowns:
		return "reset"
	case ActTest:
		return "tested"
	case ActSet:
		return "changed"
	}
	return string(a) + "d"
}

// KeyEdit is an act with what belongs to it.
type KeyEdit struct {
	Act KeyAct
	// Model narrows ActResetCooldowns to the rests for this model; empty resets all, those for every model included.
	Model string
	// What ActSet sets; nil leaves it. Tags are added before some are removed.
	Weight              *int
	Notes               *string
	AddTags, RemoveTags []string
}

// From lists the stored states of the keys that the act is for; none for any.
func (e KeyEdit) From() []KeyState {
	switch e.Act {
	case ActDisable, ActRestore:
		return []KeyState{KeyActive, KeyInvalid}
	case ActEnable:
		return []KeyState{KeyDisabled}
	case ActResetCooldowns:
		return []KeyState{KeyActive}
	}
	return nil
}

// ReasonDisabled is the reason of a key that an operator disabled.
const ReasonDisabled = "disabled_by_operator"

// KeysEdited is what became of some keys.
type KeysEdited struct {
	Changes []KeyChange // those that stand otherwise now, or may do so where a node knows more than the store
	Deleted []KeyID
	Set     []KeyID // those with another weight, other notes or tags; their standing is what it was
}

// IDs lists the keys that were edited.
func (e KeysEdited) IDs() []KeyID {
	ids := slices.Concat(e.Deleted, e.Set)
	for i := range e.Changes {
		ids = append(ids, e.Changes[i].KeyID)
	}
	return ids
}

// Count is how many keys were edited.
func (e KeysEdited) Count() int { return len(e.Changes) + len(e.Deleted) + len(e.Set) }
