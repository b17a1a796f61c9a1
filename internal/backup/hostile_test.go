package backup_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"gpt-load/internal/backup"
	"gpt-load/internal/secret"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func TestWrongFiles(t *testing.T) {
	const begin = "gpt_load_backup: 1\n"
	group := func(more string) string { return begin + "groups:\n  - name: a\n    channel: openai\n" + more }
	for name, c := range map[string]struct{ file, says string }{
		"empty":                    {"", "the file is empty"},
		"only comments":            {"# nothing\n---\n# here\n", "the file is empty"},
		"another file":             {"apiVersion: v1\nkind: Pod\n", "line 1: apiVersion: is not known"},
		"no version":               {"settings: {}\n", "must stand there with 1"},
		"a later version":          {"gpt_load_backup: 2\n", "must stand there with 1"},
		"not YAML":                 {begin + "groups: [\n  - {a\n", "this is not YAML"},
		"tabs":                     {begin + "groups:\n\t- name: a\n", "line 3: this is not YAML"},
		"a text":                   {"sk-canary-pasted\n", "line 1: must be a list of members"},
		"a list":                   {"- a\n- b\n", "not a list"},
		"binary":                   {"\x7fELF\x00\x01canary", "it is not UTF-8 text"},
		"UTF-16":                   {"\xff\xfeg\x00p\x00t\x00", "it is not UTF-8 text"},
		"an unknown member":        {group("    colour: red\n"), "line 5: groups[0].colour: is not known"},
		"a member twice":           {group("    name: b\n"), "line 5: groups[0].name: stands there twice"},
		"a number for a list":      {group("    upstreams: 5\n"), "line 5: groups[0].upstreams: must be a list, not this number"},
		"a list for a text":        {group("    description: [canary]\n"), "line 5: groups[0].description: must be a text, not a list"},
		"nothing for a text":       {group("    description:\n"), "line 5: groups[0].description: must be a text, not nothing"},
		"a fraction":               {group("    sort: 1.5\n"), "line 5: groups[0].sort: must be a whole number, not a number with a fraction"},
		"a huge number":            {group("    sort: 99999999999\n"), "line 5: groups[0].sort: must be a whole number"},
		"a word for a boolean":     {group("    model_redirect_strict: yes please\n"), "line 5: groups[0].model_redirect_strict: must be true or false"},
		"a foreign tag":            {group("    description: !!python/object canary\n"), "line 5: groups[0].description: has the tag !!python/object"},
		"a name that is a map":     {begin + "? {a: b}\n: c\n", "has a member whose name is no text"},
		"a group that is a text":   {begin + "groups:\n  - canary\n", "line 3: groups[0]: must be a list of members"},
		"an unknown setting":       {begin + "settings:\n  max_retry: 3\n", "line 3: settings.max_retry: is not a setting"},
		"a setting out of bounds":  {begin + "settings:\n  max_retries: 300\n", "line 3: settings.max_retries: must be a whole number from 0 to 20"},
		"a system setting":         {group("    settings: {app_url: x}\n"), "line 5: groups[0].settings.app_url: cannot be overridden"},
		"sealed without a salt":    {begin + "settings: {proxy_keys: !sealed v1:00000000:AAAA}\n", "is sealed, and the file has no passphrase member"},
		"a salt that is none":      {begin + "passphrase: {salt: canary, check: x}\n", "passphrase.salt: must be 16 bytes in base64"},
		"what is no secret sealed": {group("    description: !sealed v1:00000000:AAAA\n"), "is no secret"},
		"what is no secret left":   {group("    description: !omitted\n"), "is no secret"},
		"an override of nothing":   {group("    param_overrides: [{path: a}]\n"), "needs one of value, json and remove"},
		"an override twice":        {group("    param_overrides: [{path: a, value: 1, remove: true}]\n"), "needs one of value, json and remove"},
		"an override of infinity":  {group("    param_overrides: [{path: a, value: .inf}]\n"), "is no number of JSON"},
		"an alias in an override":  {group("    description: &d x\n    param_overrides: [{path: a, value: [*d]}]\n"), "is an alias"},
		"a merge":                  {begin + "settings: &s {max_retries: 1}\ngroups:\n  - <<: *s\n    name: a\n", "has a member whose name is no text"},
		"a cycle":                  {begin + "groups: &g\n  - *g\n", "must be a list of members with their names, not an alias"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := backup.NewReader(strings.NewReader(c.file), passphrase).Document()
			var broken *backup.FileError
			if !errors.As(err, &broken) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

// TestWrongConfigurations are files that are well formed, but not what the API would take.
func TestWrongConfigurations(t *testing.T) {
	client := newInstance(t)
	in := func(more string) string {
		return "gpt_load_backup: 1\ngroups:\n  - name: a\n    channel: openai\n    upstreams: [{url: https://a.example}]\n" + more
	}
	apply(t, client, mustRead(t, in("  - {name: old, channel: openai, upstreams: [{url: https://a.example}]}\n  - {name: keeps, kind: aggregate, channel: openai, members: [{group: a}]}\n")), backup.Options{})
	for name, c := range map[string]struct{ file, says string }{
		"a name twice":               {in("  - name: a\n    channel: gemini\n"), "line 6: groups[1].name: another group of the file has this name"},
		"an upstream without scheme": {in("  - {name: b, channel: openai, upstreams: [{url: canary}]}\n"), "line 6: groups[1].upstreams[0].url: is not a URL"},
		"a member that is not there": {in("  - {name: b, kind: aggregate, channel: openai, members: [{group: nothing}]}\n"), "line 6: groups[1].members[0].group: there is no group of this name"},
		"an aggregate in itself":     {in("  - {name: b, kind: aggregate, channel: openai, members: [{group: b}]}\n"), "is an aggregate itself"},
		"aggregates in a circle":     {in("  - {name: b, kind: aggregate, channel: openai, members: [{group: c}]}\n  - {name: c, kind: aggregate, channel: openai, members: [{group: b}]}\n"), "is an aggregate itself"},
		"another channel":            {in("  - {name: b, kind: aggregate, channel: gemini, members: [{group: a}]}\n"), "speaks openai"},
		"another kind":               {in("  - {name: old, kind: aggregate, channel: openai}\n"), "line 6: groups[1].kind: the group is there as standard"},
		"what stays and breaks":      {strings.Replace(in(""), "openai", "gemini", 1), "the aggregate keeps stays as it is, and would not be valid any more"},
		"JSON that is none":          {in("    param_overrides: [{path: a, json: '{canary'}]\n"), "line 6: groups[0].param_overrides[0].value: must be one JSON value"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := backup.PlanChanges(mustRead(t, c.file), runningOf(t, client), backup.Options{})
			var broken *backup.FileError
			if !errors.As(err, &broken) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
	// A channel changes only while no aggregate has the group: the application takes it out and puts it back.
	moved := strings.ReplaceAll(in("  - {name: keeps, kind: aggregate, channel: openai, members: [{group: a, weight: 7}]}\n"), "openai", "gemini")
	apply(t, client, mustRead(t, moved), backup.Options{Prune: true})
	if plan, err := backup.PlanChanges(mustRead(t, moved), runningOf(t, client), backup.Options{Prune: true}); err != nil || !plan.Empty() {
		t.Errorf("after a change of channel: %+v, %v", plan, err)
	}
}

// TestSomebodyElse changes a group between the plan and its application.
func TestSomebodyElse(t *testing.T) {
	client := newInstance(t)
	file := "gpt_load_backup: 1\nsettings: {max_retries: 1}\ngroups:\n  - {name: a, channel: openai, upstreams: [{url: https://a.example}]}\n"
	apply(t, client, mustRead(t, file), backup.Options{})
	wanted := mustRead(t, strings.Replace(file, "max_retries: 1", "max_retries: 2", 1)+"  - {name: b, channel: openai, upstreams: [{url: https://b.example}]}\n")
	wanted.Groups[0].Description = "mine"
	plan, err := backup.PlanChanges(wanted, runningOf(t, client), backup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	theirs := "theirs"
	g, err := client.GroupByName(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.ChangeGroup(t.Context(), g.ID, adminapi.GroupPatch{Description: &theirs}, 0); err != nil {
		t.Fatal(err)
	}
	var made []string
	_, err = plan.Apply(t.Context(), client, func(c backup.Change) { made = append(made, c.Setting+c.Group) })
	var broken *backup.ApplyError
	if !errors.As(err, &broken) || adminclient.CodeOf(err) != adminapi.CodePreconditionFailed || broken.Doing != "changing the group a" || strings.Join(made, " ") != "max_retries" {
		t.Errorf("made %v, then %v", made, err)
	}
	stale, err := backup.PlanChanges(mustRead(t, file), runningOf(t, client), backup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.ChangeSettings(t.Context(), adminapi.SettingsPatch{"max_retries": 7}); err != nil {
		t.Fatal(err)
	}
	if _, err = stale.Apply(t.Context(), client, func(backup.Change) {}); adminclient.CodeOf(err) != adminapi.CodePreconditionFailed {
		t.Errorf("settings that somebody else changed: %v", err)
	}
	apply(t, client, wanted, backup.Options{})
	if plan, err := backup.PlanChanges(wanted, runningOf(t, client), backup.Options{}); err != nil || !plan.Empty() {
		t.Errorf("done again, the plan is %+v, %v", plan, err)
	}
}

func mustRead(t *testing.T, file string) *backup.Document {
	t.Helper()
	d, _ := readFile(t, []byte(file))
	return d
}

func TestPassphrases(t *testing.T) {
	client := newInstance(t)
	file := export(t, client, nil) // the first proxy key is sealed in it
	for name, c := range map[string]struct {
		passphrase string
		want       error
	}{
		"none":  {"", backup.ErrNoPassphrase},
		"wrong": {"another one", backup.ErrWrongPassphrase},
	} {
		if _, err := backup.NewReader(bytes.NewReader(file), secret.New(c.passphrase)).Document(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A sealed text of another file, one for another kind of secret, and a damaged one.
	other := export(t, client, nil)
	sealed := func(file []byte) string {
		_, rest, _ := strings.Cut(string(file), "proxy_keys: !sealed ")
		text, _, _ := strings.Cut(rest, "\n")
		return text
	}
	for says, with := range map[string]string{
		"is sealed for another file": sealed(other),
		"is damaged":                 sealed(file)[:len(sealed(file))-4] + "AAAA",
	} {
		_, err := backup.NewReader(strings.NewReader(strings.Replace(string(file), sealed(file), with, 1)), passphrase).Document()
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
	moved := strings.Replace(string(file), "settings:\n", "settings:\n  proxy_url: !sealed "+sealed(file)+"\n", 1) +
		"groups: [{name: a, channel: openai, proxy_keys: [!sealed " + sealed(file) + "]}]\n"
	if _, err := backup.NewReader(strings.NewReader(moved), passphrase).Document(); err == nil || !strings.Contains(err.Error(), "groups[0].proxy_keys[0]: the sealed text") {
		t.Errorf("a setting as a proxy key: %v", err)
	}
}

// TestHostileSizes reads what is meant to fill the memory, and looks at how much it takes.
func TestHostileSizes(t *testing.T) {
	laughs := "gpt_load_backup: 1\na0: &a0 [ha]\n"
	for i := range 40 {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	for name, c := range map[string]struct {
		file io.Reader
		says string
	}{
		"billion laughs":     {strings.NewReader(laughs), "is not known"},
		"100 MB of groups":   {endless("  - name: a\n    channel: openai\n", 100<<20), "the document"},
		"100 MB on one line": {endless("a", 100<<20), "larger than 8 MiB"},
		"100 MB of junk":     {io.LimitReader(rand.NewChaCha8([32]byte{1}), 100<<20), ""},
		"100 MB of empty":    {endless("---\n", 100<<20), "the file is empty"},
		"deep brackets":      {endless("[", 400_000), "this is not YAML"},
		"deep lists":         {endless("- ", 800_000), "this is not YAML"},
		"deep maps":          {strings.NewReader(strings.Repeat("{a: ", 200_000)), "this is not YAML"},
		"many values":        {endless("[a,", 7<<20), "more than 500000 values"},
		"a deep override":    {strings.NewReader("gpt_load_backup: 1\ngroups: [{param_overrides: [{path: a, value: " + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "}]}]"), "nested too deep"},
		"a long name":        {strings.NewReader("gpt_load_backup: 1\n" + strings.Repeat("x", 900) + ": 1\n"), "xxx..."},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := backup.NewReader(c.file, passphrase).Document()
			runtime.ReadMemStats(&after)
			var broken *backup.FileError
			if !errors.As(err, &broken) || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 8000 {
				t.Errorf("got %.300v, want %q", err, c.says)
			}
			if grew := (after.TotalAlloc - before.TotalAlloc) >> 20; grew > 600 {
				t.Errorf("it allocated %d MB", grew)
			}
		})
	}
}

// endless repeats a text up to a size.
func endless(text string, size int64) io.Reader { return io.LimitReader(&repeat{text: text}, size) }

type repeat struct {
	text string
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		k := copy(p[n:], r.text[r.at:])
		n, r.at = n+k, (r.at+k)%len(r.text)
	}
	return n, nil
}
