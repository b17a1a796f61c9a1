package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"gpt-load/internal/backup"
	"gpt-load/internal/keyfile"
	"gpt-load/internal/secret"
	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// searchConcurrency is how many keys are looked for at once: the API finds them one by one.
const searchConcurrency = 8

// eachGroupKey reads all keys of a group in clear, oldest first, by an operation of the server.
func (a *app) eachGroupKey(ctx context.Context, client *adminclient.Client, groupID string, each func(keyfile.Key) error) (err error) {
	o, err := client.StartOperation(ctx, groupID, adminapi.OperationInput{Kind: adminapi.OperationExport, Format: adminapi.FormatJSONL, Reveal: true})
	if err != nil {
		return err
	}
	if o, err = client.WaitOperation(ctx, o.ID, nil); err != nil {
		return err
	}
	if o.State != adminapi.OperationSucceeded {
		return failed(fmt.Sprintf("the export of the keys of %s %s: %s", o.GroupName, o.State, o.Error), "")
	}
	if o.Counts["exported"] == 0 {
		return nil
	}
	result, err := client.OperationResult(ctx, o.ID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, result.Close()) }()
	keys, err := keyfile.NewReader(result, keyfile.Options{Format: keyfile.JSONLines})
	if err != nil {
		return err
	}
	for {
		e, err := keys.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && e.Fault != "" {
			err = failed(fmt.Sprintf("key %d of %s cannot be moved: it %s", e.Number, o.GroupName, e.Fault), "")
		}
		if err == nil {
			err = each(e.Key)
		}
		if err != nil {
			return err
		}
	}
}

// digest stands for a key that need not be kept.
type digest [sha256.Size]byte

func digestOf(value secret.Text) digest { return sha256.Sum256([]byte(value.Reveal())) }

// groupKeys are the keys that a file has for one group, compared with those that the group has.
type groupKeys struct {
	Group  string `json:"keys_of"`
	Add    int    `json:"add_keys"`
	There  int    `json:"keys_there"`
	Others int    `json:"other_keys"` // that the file does not have

	found  map[digest]bool // whether the group has it
	others []secret.Text   // only to prune
}

// String is one line of the plan.
func (k *groupKeys) String() string {
	n := func(n int) string { return terminal.Count(int64(n)) }
	return fmt.Sprintf("keys of %s: %s to add, %s there, %s that the file does not have", k.Group, n(k.Add), n(k.There), n(k.Others))
}

// fileKeys are the provider keys of a file, as digests.
type fileKeys struct{ groups map[string]*groupKeys }

func readFileKeys(r *backup.Reader) (*fileKeys, error) {
	all := &fileKeys{groups: make(map[string]*groupKeys)}
	err := r.EachKeys(func(group string, keys []keyfile.Key) error {
		k := all.groups[group]
		if k == nil {
			k = &groupKeys{Group: group, found: make(map[digest]bool)}
			all.groups[group] = k
		}
		for i := range keys {
			k.found[digestOf(keys[i].Value)] = false
		}
		return nil
	})
	return all, err
}

// inOrder lists the groups by their names.
func (f *fileKeys) inOrder() []*groupKeys {
	var all []*groupKeys
	for _, name := range slices.Sorted(maps.Keys(f.groups)) {
		all = append(all, f.groups[name])
	}
	return all
}

// different reports whether anything is to be done.
func (f *fileKeys) different(prune bool) bool {
	return slices.ContainsFunc(f.inOrder(), func(k *groupKeys) bool { return k.Add > 0 || prune && k.Others > 0 })
}

// compareKeys finds out which keys of the file the groups have already.
func (i *backupImport) compareKeys(ctx context.Context, client *adminclient.Client, keys *fileKeys, running *backup.Running, wanted *backup.Document) error {
	for _, k := range keys.inOrder() {
		g, there := running.Group(k.Group)
		if planned := slices.ContainsFunc(wanted.Groups, func(g backup.Group) bool { return g.Name == k.Group && g.Kind == adminapi.KindStandard }); !planned && (!there || i.prune || g.Kind != adminapi.KindStandard) {
			return usage(fmt.Errorf("the file has keys of %s, which is no standard group of the file nor of the installation", k.Group), "")
		}
		if there && total(g.KeyCounts) > 0 {
			err := i.eachGroupKey(ctx, client, g.ID, func(key keyfile.Key) error {
				d := digestOf(key.Value)
				if found, ours := k.found[d]; ours && !found {
					k.found[d] = true
					k.There++
				} else if !ours {
					k.Others++
					if i.prune {
						k.others = append(k.others, key.Value)
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		k.Add = len(k.found) - k.There
	}
	return nil
}

func (i *backupImport) showKeys(keys *fileKeys) error {
	for _, k := range keys.inOrder() {
		var err error
		switch {
		case i.wantsJSON():
			err = i.printJSON(k)
		case k.Add > 0 || k.Others > 0:
			sign := "~ "
			if k.Add == 0 && !i.prune {
				sign = "  "
			}
			_, err = fmt.Fprintln(i.Out, i.coloured(sign+k.String()))
		}
		if err != nil {
			return fmt.Errorf("writing the output: %w", err)
		}
	}
	return nil
}

// applyKeys adds the keys that are missing, and with --prune deletes the others.
func (i *backupImport) applyKeys(ctx context.Context, client *adminclient.Client, keys *fileKeys, ids map[string]string) error {
	sum := 0
	for _, k := range keys.groups {
		sum += k.Add
	}
	if sum > 0 {
		if err := i.addKeys(ctx, client, keys, ids, int64(sum)); err != nil {
			return err
		}
	}
	if !i.prune {
		return nil
	}
	for _, k := range keys.inOrder() {
		if len(k.others) == 0 {
			continue
		}
		n, err := i.deleteKeys(ctx, client, ids[k.Group], k.others)
		if err != nil {
			return err
		}
		if i.wantsJSON() {
			err = i.printJSON(keysDeleted{Group: k.Group, Deleted: n})
		} else {
			err = i.say("%s: %s deleted", k.Group, keysInWords(n))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keysDeleted is how many keys of a group were deleted, as JSON.
type keysDeleted struct {
	Group   string `json:"group"`
	Deleted int    `json:"deleted_keys"`
}

// addKeys reads the file once more and sends what is missing, group by group as the file has them.
func (i *backupImport) addKeys(ctx context.Context, client *adminclient.Client, keys *fileKeys, ids map[string]string, sum int64) error {
	r, err := i.again()
	if err != nil {
		return err
	}
	progress := i.newKeyProgress("adding keys", sum)
	defer progress.finish()
	var t *keyTransfer
	end := func() error {
		if t == nil || t.upload == nil {
			return nil
		}
		if err := t.end(ctx); err != nil {
			return err
		}
		progress.clear()
		return i.tellKeys(t.result)
	}
	err = r.EachKeys(func(group string, documents []keyfile.Key) error {
		if t == nil || t.result.Group != group {
			if err := end(); err != nil {
				return err
			}
			t = &keyTransfer{app: i.app, client: client, groupID: ids[group], progress: progress, result: keysBrought{Group: group}}
		}
		for n := range documents {
			d := digestOf(documents[n].Value)
			if keys.groups[group].found[d] {
				continue
			}
			keys.groups[group].found[d] = true // a value that the file repeats is sent once
			if err := t.add(ctx, &documents[n]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = end()
	}
	if t != nil {
		t.abandon()
	}
	if err != nil {
		progress.clear()
		i.note("the keys are not complete; the same command adds the rest")
	}
	return err
}

// deleteKeys finds the ids of keys by their values, and deletes them.
func (a *app) deleteKeys(ctx context.Context, client *adminclient.Client, groupID string, values []secret.Text) (int, error) {
	deleted := 0
	for chunk := range slices.Chunk(values, selectedAtOnce) {
		ids := make([]string, len(chunk))
		work, searching := errgroup.WithContext(ctx)
		work.SetLimit(searchConcurrency)
		for n, value := range chunk {
			work.Go(func() error {
				page, err := client.SearchKey(searching, groupID, value.Reveal())
				if err == nil && len(page.Keys) > 0 {
					ids[n] = page.Keys[0].ID
				}
				return err
			})
		}
		if err := work.Wait(); err != nil {
			return deleted, err
		}
		ids = slices.DeleteFunc(ids, func(id string) bool { return id == "" }) // deleted meanwhile
		if len(ids) == 0 {
			continue
		}
		n, err := client.DeleteKeys(ctx, groupID, adminapi.KeySelection{IDs: ids})
		deleted += n
		if err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}
