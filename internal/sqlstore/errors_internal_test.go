package sqlstore

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"gpt-load/internal/secret"
)

// What stands behind the name of a secret and a colon is redacted wherever errors are shown: no work may be called such a name.
func TestErrorsAreShownWhole(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(?:s\.(?:write|read)\(ctx, |[dD]oing = |translate\()"([^"]+)"`)
	seen := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, doing := range named.FindAllStringSubmatch(string(source), -1) {
			seen++
			said := translate(doing[1], errors.New("anything")).Error()
			if shown := secret.Redact(said); shown != said {
				t.Errorf("%s: %q is shown as %q", file, said, shown)
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d works were found", seen)
	}
}
