package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/viper"

	"gpt-load/internal/fleet"
)

const (
	maxFileBytes   = 1 << 20  // of a configuration file
	maxSecretBytes = 64 << 10 // of a file with one secret
)

// keySeparator keeps viper from splitting names at dots; no YAML file holds it.
const keySeparator = "\x00"

// readFile reads a regular, bounded file. Its errors say what the system said, without repeating the path.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, cause(err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("is larger than %d bytes", limit)
	}
	return data, nil
}

func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// readSecretFile reads the one secret of a file; editors and `echo` end it with a newline that is not part of it.
func readSecretFile(path string) (string, error) {
	data, err := readFile(path, maxSecretBytes)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return "", fmt.Errorf("reading %s: the file is empty", path)
	}
	return text, nil
}

// readYAML returns the values of a YAML file by lower-case name. Every key has to be in the table.
func readYAML(path string) (map[string]string, []fleet.FieldError) {
	data, err := readFile(path, maxFileBytes)
	if err != nil {
		return nil, faultOf(path, "reading it: "+err.Error())
	}
	v, err := parse(data, "yaml")
	if err != nil {
		return nil, faultOf(path, yamlFault(err))
	}
	values := make(map[string]string)
	var faults []fleet.FieldError
	keys := v.AllKeys()
	slices.Sort(keys)
	for _, key := range keys {
		name, _, nested := strings.Cut(key, keySeparator)
		e, isFile, known := findEntry(name)
		if !known {
			faults = append(faults, fleet.FieldError{Field: name, Message: "is not a known key of " + path + suggestion(name)})
			continue
		}
		text, err := yamlText(e, isFile, v.Get(key))
		if nested {
			err = errors.New("must be a plain value")
		}
		if err != nil {
			faults = append(faults, fleet.FieldError{Field: strings.ToUpper(name), Message: err.Error() + " (from " + path + ")"})
			continue
		}
		values[name] = text
	}
	return values, faults
}

// readDotenv returns the values of a `.env` file by lower-case name, of any name: such files serve other
// programs too. No file is no fault.
func readDotenv(path string) (map[string]string, []fleet.FieldError) {
	data, err := readFile(path, maxFileBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, faultOf(".env", "reading it: "+err.Error())
	}
	if faults := dotenvTraps(data); len(faults) > 0 {
		return nil, faults
	}
	v, err := parse(data, "env")
	if err != nil {
		// The parser's own words quote the line, which may hold a secret.
		return nil, faultOf(".env", "a line is not of the form NAME=value, or a quotation mark is missing")
	}
	values := make(map[string]string)
	for _, key := range v.AllKeys() {
		values[key] = v.GetString(key)
	}
	return values, nil
}

func parse(data []byte, format string) (*viper.Viper, error) {
	v := viper.NewWithOptions(viper.KeyDelimiter(keySeparator))
	v.SetConfigType(format)
	if err := v.ReadConfig(bytes.NewReader(data)); err != nil {
		return nil, err
	}
	return v, nil
}

func faultOf(name, message string) []fleet.FieldError {
	return []fleet.FieldError{{Field: name, Message: message}}
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// yamlFault keeps the place of a fault and leaves out the parser's quotation, which may be a secret.
func yamlFault(err error) string {
	message := "is not valid YAML: one `name: value` a line"
	if strings.Contains(err.Error(), "already defined") {
		message = "names a key twice"
	}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		message += " (line " + m[1] + ")"
	}
	return message
}

// yamlText gives the text of one YAML value. Text has to be text: a key such as 0123 or 1e5 would not survive
// being read as a number.
func yamlText(e Entry, isFile bool, raw any) (string, error) {
	switch v := raw.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		if e.Kind == KindBool {
			return strconv.FormatBool(v), nil
		}
	case int:
		if e.Kind == KindInt {
			return strconv.Itoa(v), nil
		}
	case []any:
		if e.Kind != KindList {
			return "", errors.New("must be one value, not a sequence")
		}
		parts := make([]string, len(v))
		for i, part := range v {
			s, ok := part.(string)
			if !ok {
				return "", errors.New("must be a sequence of texts")
			}
			parts[i] = s
		}
		return strings.Join(parts, ","), nil
	}
	if e.Kind == KindString || isFile {
		return "", errors.New("must be text: put it into quotes")
	}
	return "", fmt.Errorf("must be %s", e.Allowed)
}

// findEntry finds an entry by its lower-case name, or the secret one that NAME_FILE belongs to.
func findEntry(name string) (e Entry, isFile, known bool) {
	for _, e := range table {
		lower := strings.ToLower(e.Name)
		if name == lower {
			return e, false, true
		}
		if e.Secret && name == lower+"_file" {
			return e, true, true
		}
	}
	return Entry{}, false, false
}

// suggestion names the known key nearest to a wrong one.
func suggestion(name string) string {
	best, distance := "", 0
	for _, e := range table {
		candidate := strings.ToLower(e.Name)
		if d := editDistance(name, candidate); best == "" || d < distance {
			best, distance = candidate, d
		}
	}
	return fmt.Sprintf("; the nearest known one is %s", best)
}

// editDistance is Levenshtein's: the least number of bytes to insert, remove or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

var dotenvLine = regexp.MustCompile(`^\s*(?:export\s+)?(\w+)\s*=(.*)$`)

// dotenvTraps refuses lines of our own names that the format would change without a word: `#` cuts a value that stands
// without quotes, and `$` begins the name of a variable except in single quotes.
func dotenvTraps(data []byte) []fleet.FieldError {
	var faults []fleet.FieldError
	for line := range strings.Lines(string(data)) {
		m := dotenvLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		e, _, known := findEntry(strings.ToLower(m[1]))
		text := m[2] // with its leading space: a # behind it is a comment
		quote := strings.TrimSpace(text)
		if !known || strings.HasPrefix(quote, "'") {
			continue
		}
		cut := !strings.HasPrefix(quote, `"`) && hashInWord.MatchString(text)
		if cut || (e.Secret && strings.Contains(text, "$")) {
			faults = append(faults, fleet.FieldError{Field: m[1], Message: "holds # or $, which would change the value; put it into single quotes (from .env)"})
		}
	}
	return faults
}

// hashInWord finds a # that begins no comment: comments follow a space.
var hashInWord = regexp.MustCompile(`(^|[^\s#])#`)
