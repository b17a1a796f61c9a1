package backup

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
	"gpt-load/internal/secret"
)

// KeysPerDocument is how many provider keys one document of a file holds at most.
const KeysPerDocument = 1000

// WriteKeys writes one document with provider keys of a group, at most KeysPerDocument, behind what Write wrote. Rests and the
// words of providers are of the moment, and stay out.
func WriteKeys(w io.Writer, sealer *Sealer, group string, keys []keyfile.Key) error {
	e := encoder{sealer: sealer}
	root := mapping()
	put(root, "keys_of", text(group))
	put(root, "keys", list(keys, e.key))
	if _, err := io.WriteString(w, "---\n"); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	return encode(w, root)
}

// key is one line for a key of which nothing else is said.
func (e encoder) key(k keyfile.Key) *yaml.Node {
	value := e.secret(kindProviderKey, k.Value.Reveal())
	n := mapping()
	put(n, "key", value)
	if k.State != fleet.KeyActive {
		putText(n, "state", string(k.State))
		putText(n, "reason", k.Reason)
	}
	if k.Failures != 0 {
		put(n, "failures", number(k.Failures))
	}
	if k.Weight > 1 {
		put(n, "weight", number(k.Weight))
	}
	putText(n, "notes", k.Notes)
	putList(n, "tags", k.Tags, text)
	if len(n.Content) == 2 {
		return value
	}
	return n
}

// NextKeys reads the next document of provider keys, behind Document. At the end it returns io.EOF; the other errors are as in
// Document. The names of groups are not checked.
func (r *Reader) NextKeys() (group string, keys []keyfile.Key, err error) {
	content, before, err := r.stream.next()
	if err != nil {
		return "", nil, err
	}
	root, err := parse(content, before)
	if err != nil {
		return "", nil, err
	}
	w := &walker{reader: r, lines: map[string]int{}}
	w.fields(root, "", fields{
		"keys_of": func(n *yaml.Node, place string) { w.text(n, place, &group) },
		"keys": func(n *yaml.Node, place string) {
			w.items(n, place, func(n *yaml.Node, place string) {
				if k, ok := w.key(n, place); ok {
					keys = append(keys, k)
				}
			})
		},
	})
	if group == "" && len(w.faults) == 0 {
		w.fault(root, "keys_of", "is needed: the name of the group that the keys are of")
	}
	return group, keys, w.end()
}

func (w *walker) key(n *yaml.Node, place string) (keyfile.Key, bool) {
	value, faults := "", len(w.faults)
	k := keyfile.Key{Weight: 1, State: fleet.KeyActive}
	if n.Kind == yaml.ScalarNode {
		w.secretOr(n, place, kindProviderKey, &value)
	} else {
		w.fields(n, place, fields{
			"key":      func(n *yaml.Node, place string) { w.secretOr(n, place, kindProviderKey, &value) },
			"state":    func(n *yaml.Node, place string) { w.text(n, place, (*string)(&k.State)) },
			"reason":   func(n *yaml.Node, place string) { w.text(n, place, &k.Reason) },
			"failures": func(n *yaml.Node, place string) { w.integer(n, place, &k.Failures) },
			"weight":   func(n *yaml.Node, place string) { w.integer(n, place, &k.Weight) },
			"notes":    func(n *yaml.Node, place string) { w.text(n, place, &k.Notes) },
			"tags": func(n *yaml.Node, place string) {
				w.items(n, place, func(n *yaml.Node, place string) {
					tag := ""
					w.text(n, place, &tag)
					k.Tags = append(k.Tags, tag)
				})
			},
		})
	}
	k.Value = secret.New(strings.TrimSpace(value))
	if len(w.faults) == faults {
		if k.Weight < 1 { // the file of keys takes 0 for not said
			w.fault(n, place, "weight must be a whole number from 1 to %d", keyfile.MaxWeight)
		} else if why := k.Check(); why != "" {
			w.fault(n, place, "%s", why)
		}
	}
	return k, len(w.faults) == faults
}

// EachKeys reads all documents of provider keys behind Document.
func (r *Reader) EachKeys(each func(group string, keys []keyfile.Key) error) error {
	for {
		group, keys, err := r.NextKeys()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = each(group, keys)
		}
		if err != nil {
			return err
		}
	}
}
