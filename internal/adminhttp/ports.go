package adminhttp

import (
	"context"
	"time"

	"gpt-load/internal/audit"
	"gpt-load/internal/cluster"
	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// Store is the database, as far as this package needs it. Its errors are *fleet.Error where the caller can do
// something about them; every other error is taken for a store that is away or a defect.
type Store interface {
	// Revision is the newest revision of settings, groups and memberships.
	Revision(ctx context.Context) (int64, error)
	// Revisions has beside it that of the last change of a setting.
	Revisions(ctx context.Context) (fleet.Revisions, error)

	// Settings are the system's values in canonical text, secret ones in clear.
	Settings(ctx context.Context) (map[string]string, error)
	// SaveSettingsAt is all or nothing. ifRevision, unless 0, must be that of the last change of a setting, else CodePreconditionFailed.
	SaveSettingsAt(ctx context.Context, set map[string]string, reset []string, ifRevision int64) (revision int64, err error)

	// Fingerprint is what records show of a proxy key.
	Fingerprint(key secret.Text) string

	// Groups are all groups in the order of Sort and Name.
	Groups(ctx context.Context) ([]fleet.Group, error)
	Group(ctx context.Context, id fleet.GroupID) (fleet.Group, error)
	CreateGroup(ctx context.Context, g fleet.Group) (fleet.Group, error)
	// UpdateGroup writes g whole. ifRevision, unless 0, must be the stored group's revision, else CodePreconditionFailed.
	UpdateGroup(ctx context.Context, g fleet.Group, ifRevision int64) (fleet.Group, error)
	// DeleteGroupAt takes ifRevision as UpdateGroup does.
	DeleteGroupAt(ctx context.Context, id fleet.GroupID, ifRevision int64) (revision int64, err error)

	// CopyGroup makes a group like another one, without its keys.
	CopyGroup(ctx context.Context, c fleet.GroupCopy) (fleet.Group, error)
	// OrderGroups takes every group once, else CodeConflict.
	OrderGroups(ctx context.Context, ids []fleet.GroupID) (revision int64, err error)

	// AddKeys leaves out values that the group has already and counts them as duplicates.
	AddKeys(ctx context.Context, group fleet.GroupID, values []secret.Text, disabled bool) (added []fleet.Key, duplicates int, err error)
	Keys(ctx context.Context, q fleet.KeyQuery) (page []fleet.Key, next string, err error)
	Key(ctx context.Context, id fleet.KeyID) (fleet.Key, error)
	// KeyUsage leaves out keys that no record names.
	KeyUsage(ctx context.Context, ids []fleet.KeyID) (map[fleet.KeyID]fleet.KeyUsage, error)
	// EditKeys does an operator's act to the keys of a selection, portion by portion, and tells what is committed.
	EditKeys(ctx context.Context, which fleet.KeySelection, edit fleet.KeyEdit, committed func(fleet.KeysEdited)) error
	// ReturnKeys puts keys back to where they stood before an event. It returns those that went back, also with an error.
	ReturnKeys(ctx context.Context, group fleet.GroupID, step audit.KeyStep) ([]fleet.KeyChange, error)
	// ReturnKeyValues gives keys the weights, notes and tags back that they had before an event. It returns those that it changed,
	// also with an error.
	ReturnKeyValues(ctx context.Context, group fleet.GroupID, steps []audit.ValueStep) ([]fleet.KeyID, error)
	// CountSelected counts the keys that an act is for, exactly up to most.
	CountSelected(ctx context.Context, which fleet.KeySelection, edit fleet.KeyEdit, most int) (count int, more bool, err error)
	SelectedKeys(ctx context.Context, which fleet.KeySelection, edit fleet.KeyEdit, limit int) ([]fleet.Key, error)

	// Encryption tells how the secrets of the installation are sealed.
	Encryption(ctx context.Context) (fleet.Encryption, error)

	Records(ctx context.Context, q fleet.RecordQuery) (page []fleet.RequestRecord, next string, err error)
	// LatestRecords are newest first, and RecordsAfter in the order in which they were written; a cursor that is too old is CodeGone.
	LatestRecords(ctx context.Context, q fleet.RecordQuery) (latest []fleet.RequestRecord, cursor string, err error)
	RecordsAfter(ctx context.Context, cursor string, q fleet.RecordQuery) (records []fleet.RequestRecord, next string, more bool, err error)
	// RecordsWritten counts what was written after a revision; a negative one counts nothing.
	RecordsWritten(ctx context.Context, after int64) (revision, count int64, err error)
	Record(ctx context.Context, id fleet.RecordID) (fleet.RequestRecord, error)
	Stats(ctx context.Context, q fleet.StatsQuery) (fleet.Stats, error)

	// OpenSession stores a new session, and forgets those that expired or were not used since idleSince.
	OpenSession(ctx context.Context, s fleet.AdminSession, idleSince time.Time) error
	Session(ctx context.Context, id string) (fleet.AdminSession, error)
	Sessions(ctx context.Context) ([]fleet.AdminSession, error)
	TouchSession(ctx context.Context, id string, at time.Time) error
	EndSession(ctx context.Context, id string) (ended bool, err error)
	EndSessions(ctx context.Context) (ended int, err error)

	// RecordEvent writes an event that is no change. Changes write their own, with the actor of their context.
	RecordEvent(ctx context.Context, e audit.Event) error
	Audit(ctx context.Context, q audit.Query) (page []audit.Event, next string, err error)
	AuditEvent(ctx context.Context, id audit.ID) (audit.Event, error)
	// AuditUndo is what it takes to undo an event; CodeConflict when there is no way back.
	AuditUndo(ctx context.Context, id audit.ID) (audit.Event, audit.Undo, error)
}

// Pools are the live key pools of this node.
type Pools interface {
	Counts(group fleet.GroupID) fleet.KeyCounts
	// Live is a key as the pool sees it now, cool-downs included; false when the pool does not hold it.
	Live(group fleet.GroupID, id fleet.KeyID) (fleet.Key, bool)
	// KeysChanged tells what an operator did to the keys of a group, after it was committed. When it returns, the
	// next request of this node goes by it.
	KeysChanged(ctx context.Context, group fleet.GroupID, added []fleet.Key, changes []fleet.KeyChange, removed []fleet.KeyID)
}

// Tester asks the data plane.
type Tester interface {
	// TestKey tests a key by the same path as real traffic and applies the verdict to the pool.
	TestKey(ctx context.Context, group fleet.GroupID, key fleet.KeyID) (TestResult, error)
	// Preview tells what a group, which need not be stored, makes of a request, and sends nothing.
	Preview(g fleet.Group, system map[string]string, s Sample) (Preview, error)
}

// TestResult is what a test of one key found.
type TestResult struct {
	OK       bool
	Status   int // 0 when no answer came
	Class    fleet.Class
	Reason   string
	Evidence string // redacted
	Duration time.Duration
}

// Reloader makes this node serve by a committed revision of settings and groups before it returns.
type Reloader interface {
	Changed(ctx context.Context, revision int64) error
}

// Nodes knows the fleet.
type Nodes interface {
	// Nodes returns this node as it is now, and the nodes of the fleet as they were last heard of, in the order of
	// their ids; an error says that the others cannot be asked.
	Nodes(ctx context.Context) (self cluster.Member, members []cluster.Member, err error)
}

// Check is one part of the node that must be ready before it takes traffic.
type Check struct {
	Name    string
	Ready   bool
	Message string // why not; shown to anybody, so without secrets
}
