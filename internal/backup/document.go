package backup

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gpt-load/internal/fleet"
	"gpt-load/internal/settings"
)

// Version is the form of the file that is written and read.
const Version = 1

// Document is the configuration of one installation, without its provider keys.
type Document struct {
	// Settings are canonical texts by the names of internal/settings.
	Settings map[string]string
	// Groups have unique names.
	Groups []Group

	// omitted are secret settings that a file leaves to the installation.
	omitted map[string]bool
	// lines says where in a file a place such as groups[2].upstreams[0].url stands; nil without a file.
	lines map[string]int
}

// Group is a group whose members are known by name. ID, Group.Members, Revision and the times of the embedded group are
// not part of it.
type Group struct {
	fleet.Group
	Members []Member

	omitted omittedSecrets
}

// omittedSecrets are the secrets of a group that a file leaves to the installation.
type omittedSecrets struct {
	proxyKeys bool
	settings  map[string]bool
	headers   map[string]bool // by name of the header, lower case
}

// Member is one group inside an aggregate.
type Member struct {
	Group  string
	Weight int
	Tier   int
}

// sort brings what has no order of its own into one.
func (d *Document) sort() {
	slices.SortFunc(d.Groups, func(a, b Group) int { return cmp.Compare(a.Name, b.Name) })
	for _, g := range d.Groups {
		slices.SortFunc(g.Members, func(a, b Member) int { return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Group, b.Group)) })
	}
}

// Fault is one thing that is wrong with a file.
type Fault struct {
	Line    int    // from 1; 0 when it is about no line
	Place   string // such as groups[2].upstreams[0].url
	Message string // never quotes a value: it may be a secret
}

// String is the fault on one line.
func (f Fault) String() string {
	text := f.Message
	if f.Place != "" {
		text = f.Place + ": " + text
	}
	if f.Line > 0 {
		text = fmt.Sprintf("line %d: %s", f.Line, text)
	}
	return text
}

// FileError is everything that is wrong with a file.
type FileError struct{ Faults []Fault }

// shownFaults keeps an error about a file that is no backup readable.
const shownFaults = 20

// Error implements error, one line a fault.
func (e *FileError) Error() string {
	lines := make([]string, 0, shownFaults+1)
	for _, f := range e.Faults[:min(len(e.Faults), shownFaults)] {
		lines = append(lines, f.String())
	}
	if more := len(e.Faults) - shownFaults; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

func fileError(line int, format string, args ...any) error {
	return &FileError{Faults: []Fault{{Line: line, Message: fmt.Sprintf(format, args...)}}}
}

// faultAt finds the line of a place, or of what it stands in.
func (d *Document) faultAt(place, message string) Fault {
	f := Fault{Place: place, Message: message}
	for place != "" && f.Line == 0 {
		f.Line = d.lines[place]
		place = place[:max(0, strings.LastIndexAny(place, ".["))]
	}
	return f
}

// isSecretSetting asks the settings table.
func isSecretSetting(name string) bool {
	d, _ := settings.Find(name)
	return d.Secret
}

// credentialWords are what the names of headers that carry credentials contain, in lower case.
var credentialWords = []string{"auth", "cookie", "key", "passw", "secret", "signature", "token"}

// isSecretHeader reports whether a rule's value may be a credential. One that only holds variables is none.
func isSecretHeader(r fleet.HeaderRule) bool {
	value := r.Value
	for _, name := range fleet.HeaderVariables {
		value = strings.ReplaceAll(value, "${"+name+"}", "")
	}
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "", "bearer", "basic", "token":
		return false
	}
	name := strings.ToLower(r.Name)
	return slices.ContainsFunc(credentialWords, func(word string) bool { return strings.Contains(name, word) })
}

func isDefault(setting, text string) bool {
	d, known := settings.Find(setting)
	return known && d.Default == text
}
