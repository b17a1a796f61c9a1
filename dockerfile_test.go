package gptload_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDockerfile: the image is compiled by the Go of go.mod from all of the source that the program needs, and ends up small and
// harmless. `./task image:test` builds and starts it.
func TestDockerfile(t *testing.T) {
	dockerfile := read(t, "Dockerfile")
	if want := "golang:" + goVersion(t) + " AS build"; !strings.Contains(dockerfile, want) {
		t.Errorf("the Dockerfile does not compile with %q", want)
	}
	stages := regexp.MustCompile(`(?m)^FROM `).Split(dockerfile, -1)
	for _, line := range []string{"scratch\n", "\nUSER 65532:65532\n", "\nVOLUME /data\n", "\nENTRYPOINT [\"gpt-load\"]\n"} {
		if !strings.Contains(stages[len(stages)-1], line) {
			t.Errorf("the last stage has no %q", strings.TrimSpace(line))
		}
	}
	release := read(t, "Dockerfile.release")
	if end := stages[len(stages)-1][len("scratch\n"):]; !strings.HasSuffix(release, end) || !strings.Contains(release, "golang:"+goVersion(t)+" AS build") {
		t.Error("Dockerfile.release does not end as the Dockerfile does")
	}
	ignored := strings.Split(strings.TrimSpace(read(t, ".dockerignore")), "\n")
	allowed := map[string]bool{}
	for _, line := range ignored {
		if name, exception := strings.CutPrefix(line, "!"); exception {
			allowed[name] = true
		}
	}
	for _, line := range regexp.MustCompile(`(?m)^COPY ([^-].*) \S+$`).FindAllStringSubmatch(dockerfile, -1) {
		for name := range strings.FieldsSeq(line[1]) {
			if !allowed[name] {
				t.Errorf("the Dockerfile copies %s, which .dockerignore keeps out", name)
			}
			if _, err := os.Stat(name); err != nil {
				t.Errorf("the Dockerfile copies what is not there: %v", err)
			}
		}
	}
	if !strings.Contains("\n"+strings.Join(ignored, "\n"), "\n*\n") {
		t.Error(".dockerignore does not begin with nothing")
	}
}
