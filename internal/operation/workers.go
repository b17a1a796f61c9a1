package operation

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strconv"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
)

// importKeys adds the keys of the file, a step at a time. The position is the number of entries gone through; they are read again
// and passed over by who goes on.
func (s *Service) importKeys(ctx context.Context, r *Run) error {
	step := importStep{service: s, run: r}
	_, err := s.readEntries(&inputReader{ctx: ctx, store: s.Store, id: r.ID}, r.Options.Format, func(e *keyfile.Entry) error {
		if int64(e.Number) <= r.Position {
			return ctx.Err()
		}
		step.entries, step.position = append(step.entries, *e), int64(e.Number)
		if len(step.entries) < StepKeys {
			return nil
		}
		return step.write(ctx)
	})
	if err == nil {
		err = step.write(ctx)
	}
	if err != nil {
		return err
	}
	return s.Settle(ctx)
}

// importStep gathers entries and writes them.
type importStep struct {
	service  *Service
	run      *Run
	entries  []keyfile.Entry
	position int64 // behind them
}

// write does one step.
func (i *importStep) write(ctx context.Context) error {
	if len(i.entries) == 0 {
		return nil
	}
	keys := make([]keyfile.Key, 0, len(i.entries))
	for _, e := range i.entries {
		if e.Fault != "" {
			continue
		}
		if i.run.Options.Disabled {
			e.Key.State, e.Key.Reason, e.Key.Evidence, e.Key.Failures, e.Key.Cooldowns = fleet.KeyDisabled, "added_disabled", "", 0, nil
		}
		keys = append(keys, e.Key)
	}
	var next Progress
	var result []byte
	err := i.service.Store.ImportKeys(ctx, i.run.claim, i.run.GroupID, keys, func(added []bool) (Progress, []byte) {
		var became outcomes
		counts := make(map[string]int64, 3)
		at := 0
		for _, e := range i.entries {
			outcome := Rejected
			if e.Fault == "" {
				if outcome = Duplicate; added[at] {
					outcome = Added
				}
				at++
			}
			counts[outcome]++
			became.add(e.Number, e.Line, outcome, e.Fault)
		}
		next, result = i.run.Next(len(i.entries), i.position, counts), became.encode()
		return next, result
	})
	if err != nil {
		return err
	}
	i.run.Keep(next, result)
	i.entries = i.entries[:0]
	i.service.Changed()
	return ctx.Err()
}

// pageOf reads the next keys that an operation goes through, and the position behind them; more says that there are others.
func (s *Service) pageOf(ctx context.Context, r *Run, limit int) (page []fleet.Key, position int64, more bool, err error) {
	page, next, err := s.Store.KeysAfter(ctx, r.Selection(), fleet.KeyID(r.Position), limit)
	if next == 0 {
		return page, behindAll, false, err
	}
	return page, int64(next), true, err
}

// behindAll is the position of no key.
const behindAll = math.MaxInt64

// copyKeys adds the keys of another group, with all that is said of them. Entries and lines of the result count them.
func (s *Service) copyKeys(ctx context.Context, r *Run) error {
	for more := true; more; {
		var page []fleet.Key
		var err error
		step := importStep{service: s, run: r}
		if page, step.position, more, err = s.pageOf(ctx, r, StepKeys); err != nil {
			return err
		}
		for i := range page {
			number := int(r.Done) + i + 1
			step.entries = append(step.entries, keyfile.Entry{Line: number, Number: number, Key: FileKey(&page[i])})
		}
		if len(page) == 0 && more { // the look for keys that match takes longer
			if err := r.Advance(ctx, r.Next(0, step.position, nil), nil); err != nil {
				return err
			}
		}
		if err := step.write(ctx); err != nil {
			return err
		}
	}
	return s.Settle(ctx)
}

// FileKey is what a file says of a key.
func FileKey(k *fleet.Key) keyfile.Key {
	f := keyfile.Key{
		Value: k.Value, Notes: k.Notes, Tags: k.Tags, State: k.State, Reason: k.Reason, Evidence: k.Evidence, Failures: k.Failures, Cooldowns: k.Cooldowns,
	}
	if k.Weight > 1 { // as every other key has without a word
		f.Weight = k.Weight
	}
	return f
}

// exportKeys writes the keys into the result, one page a step. Behind the last page there is no position to go on from, so the
// end of the file is not written twice.
func (s *Service) exportKeys(ctx context.Context, r *Run) error {
	for r.Position != behindAll {
		page, position, more, err := s.pageOf(ctx, r, fleet.MaxPage)
		if err != nil {
			return err
		}
		var piece bytes.Buffer
		w, err := keyfile.ContinueWriter(&piece, r.Options.Format, int(r.Done))
		if err != nil {
			return err
		}
		for i := range page {
			k := FileKey(&page[i])
			if err := w.Write(&k); err != nil {
				return err
			}
		}
		end := w.Flush
		if !more {
			end = w.Close
		}
		if err := end(); err != nil {
			return err
		}
		p := r.Next(len(page), position, map[string]int64{"exported": int64(len(page))})
		if err := r.Advance(ctx, p, piece.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// edited is one line of the result of a deletion or a change.
type edited struct {
	ID      string `json:"id"`
	Outcome string `json:"outcome"`
}

// editKeys does an operator's act to keys, a step at a time.
func (s *Service) editKeys(ctx context.Context, r *Run) error {
	edit := r.edit()
	word := edit.Act.Done()
	for r.Position != behindAll {
		var step Progress
		var result []byte
		err := s.Store.EditSomeKeys(ctx, r.claim, r.Selection(), edit, fleet.KeyID(r.Position), func(done fleet.KeysEdited, next fleet.KeyID) (Progress, []byte) {
			var lines bytes.Buffer
			encoder := json.NewEncoder(&lines)
			for _, id := range done.IDs() {
				_ = encoder.Encode(edited{ID: strconv.FormatInt(int64(id), 10), Outcome: word}) // a buffer takes everything
			}
			position := int64(next)
			if next == 0 {
				position = behindAll
			}
			step, result = r.Next(done.Count(), position, map[string]int64{word: int64(done.Count())}), lines.Bytes()
			return step, result
		})
		if err != nil {
			return err
		}
		r.Keep(step, result)
		s.Changed()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return s.Settle(ctx)
}
