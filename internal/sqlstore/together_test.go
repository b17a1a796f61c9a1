package sqlstore_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
)

// testTogether lets every kind of writer and reader work at once, on two nodes: nothing may fail, be lost or be counted twice.
func testTogether(t *testing.T, database fresh) {
	dsn, ctx := database(t), t.Context()
	s, other := openAt(t, dsn, passphrase), openAt(t, dsn, passphrase)
	g := addGroup(t, s, standard("g"))
	keys, _ := must2(s.AddKeys(ctx, g.ID, texts("k", 120), false))(t)
	before := must(s.Revision(ctx))(t)
	const rounds = 20
	var same []fleet.RequestRecord
	for i := range rounds {
		same = append(same, record(i))
	}
	works := map[string]func(round int) error{
		"settings": func(round int) error {
			_, err := s.SaveSettings(ctx, map[string]string{"max_retries": fmt.Sprint(round)}, nil)
			return err
		},
		"groups": func(round int) error {
			change := g
			change.Description = fmt.Sprint(round)
			_, err := other.UpdateGroup(ctx, change, 0)
			return err
		},
		"import": func(round int) error {
			_, _, err := s.AddKeys(ctx, g.ID, texts(fmt.Sprint("more", round), 50), false)
			return err
		},
		"verdicts": func(int) error {
			return s.ApplyKeyChanges(ctx, changesOf(keys, fleet.KeyActive))
		},
		"more verdicts": func(int) error {
			return other.ApplyKeyChanges(ctx, changesOf(keys, fleet.KeyInvalid))
		},
		"records": func(round int) error {
			return s.WriteRecords(ctx, requestlog.Batch{Source: "one", Position: int64(round + 1), Records: []fleet.RequestRecord{record(1), record(2)}})
		},
		"more records": func(round int) error {
			return other.WriteRecords(ctx, requestlog.Batch{Source: "two", Position: int64(round + 1), Records: []fleet.RequestRecord{record(1), record(2)}})
		},
		"the same records": func(round int) error { // of two leaders that overlap
			return other.WriteRecords(ctx, requestlog.Batch{Source: "three", Position: int64(round + 1), Records: same[round : round+1]})
		},
		"the same records too": func(round int) error {
			return s.WriteRecords(ctx, requestlog.Batch{Source: "three", Position: int64(round + 1), Records: same[round : round+1]})
		},
		"operator": func(int) error {
			err := other.EditKeys(ctx, fleet.KeySelection{Group: g.ID, IDs: keyIDs(keys[40:80])}, fleet.KeyEdit{Act: fleet.ActRestore}, func(fleet.KeysEdited) {})
			return err
		},
		"temporary group": func(round int) error {
			temporary, err := other.CreateGroup(ctx, standard(fmt.Sprint("temporary", round)))
			if err == nil {
				_, _, err = s.AddKeys(ctx, temporary.ID, texts("k", 30), false)
			}
			if err == nil {
				err = other.DeleteGroup(ctx, temporary.ID)
			}
			return err
		},
		"retention": func(int) error {
			_, err := other.ForgetDeletedKeys(ctx, time.Now())
			return err
		},
		"read groups": func(int) error {
			_, err := s.Groups(ctx)
			return err
		},
		"read keys": func(int) error {
			return s.EachKey(ctx, 0, func([]fleet.Key) error { return nil })
		},
		"read records": func(int) error {
			_, _, err := s.Records(ctx, fleet.RecordQuery{})
			return err
		},
	}
	var wg sync.WaitGroup
	for name, work := range works {
		wg.Go(func() {
			for round := range rounds {
				if err := work(round); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	wg.Wait()
	if after := must(s.Revision(ctx))(t); after != before+4*rounds {
		t.Errorf("revision %d, want %d", after, before+4*rounds)
	}
	if counts := must(s.CountKeys(ctx, g.ID))(t); counts[fleet.KeyActive]+counts[fleet.KeyInvalid] != 120+50*rounds {
		t.Errorf("keys %v", counts)
	}
	// Every record names key 7.
	if usage := must(s.KeyUsage(ctx, []fleet.KeyID{7}))(t); usage[7].Requests != 5*rounds {
		t.Errorf("%d attempts counted, want %d", usage[7].Requests, 5*rounds)
	}
	if stats := must(s.Stats(ctx, fleet.StatsQuery{}))(t); stats.Total.Requests != 5*rounds {
		t.Errorf("%d requests summed, want %d", stats.Total.Requests, 5*rounds)
	}
}

func changesOf(keys []fleet.Key, state fleet.KeyState) []fleet.KeyChange {
	changes := make([]fleet.KeyChange, len(keys))
	for i, k := range keys {
		changes[len(keys)-1-i] = fleet.KeyChange{KeyID: k.ID, GroupID: k.GroupID, State: state, At: time.Now().Add(time.Hour)}
	}
	return changes
}
