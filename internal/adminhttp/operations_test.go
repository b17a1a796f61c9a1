package adminhttp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/adminhttp"
	bulk "gpt-load/internal/operation"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func TestImportFile(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("a"))
	file := keyLines(2500) + "sk-line-7\n\x01sk-canary\n\n" + strings.Repeat("x", 5000) + "\n"
	begun, err := w.client.ImportKeys(t.Context(), g.ID, strings.NewReader(file), adminclient.ImportOptions{})
	if begun.Kind != adminapi.OperationImport || begun.Total != 2503 || begun.InputBytes != int64(len(file)) {
		t.Errorf("begun %+v", begun)
	}
	o := w.ended(begun, err)
	want := map[string]int64{"added": 2500, "duplicate": 1, "rejected": 2}
	if o.State != adminapi.OperationSucceeded || o.Done != 2503 || fmt.Sprint(o.Counts) != fmt.Sprint(want) || o.Node != "node-1" || o.PerSecond <= 0 {
		t.Errorf("ended %+v, want counts %v", o, want)
	}
	if counts := w.Counts(1); counts.Active != 2500 {
		t.Errorf("the pool counts %+v", counts)
	}
	entries, others := 0, []string{}
	err = w.client.EachOutcome(t.Context(), o.ID, func(e adminapi.OperationOutcome) error {
		if entries++; e.Entry != entries {
			t.Errorf("entry %d came in place %d", e.Entry, entries)
		}
		if e.Outcome != "added" {
			others = append(others, fmt.Sprintf("%d %s %s", e.Line, e.Outcome, e.Reason))
		}
		return nil
	})
	wantOthers := []string{
		"2501 duplicate ", "2502 rejected holds a control character, which no HTTP header can carry",
		"2504 rejected is longer than 4096 bytes; is this a list of keys?",
	}
	if err != nil || entries != 2503 || !slices.Equal(others, wantOthers) {
		t.Errorf("%d entries, %q, %v", entries, others, err)
	}
	// The same file again gives duplicates only.
	again := w.ended(w.client.ImportKeys(t.Context(), g.ID, strings.NewReader(file), adminclient.ImportOptions{Disabled: true}))
	if again.Counts["added"] != 0 || again.Counts["duplicate"] != 2501 {
		t.Errorf("the second time: %+v", again.Counts)
	}
	page, err := w.client.Operations(t.Context(), adminclient.OperationFilter{GroupID: g.ID, Kind: "import", State: "succeeded", Limit: 1})
	if err != nil || len(page.Operations) != 1 || page.Operations[0].ID != again.ID || page.NextCursor == "" {
		t.Errorf("listed %+v, %v", page, err)
	}
}

func TestImportOfEveryFormat(t *testing.T) {
	w := newWorld(t)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(z, "[\"a b\", \"c\"]")
	_ = z.Close()
	var form bytes.Buffer
	writer := multipart.NewWriter(&form)
	_ = writer.WriteField("note", "sk-not-a-file")
	part, _ := writer.CreateFormFile("file", "keys.txt")
	_, _ = io.WriteString(part, "\ufeffsk-form-1\nsk-form-2\n")
	_ = writer.Close()
	for name, c := range map[string]struct{ query, contentType, body string }{
		"csv":    {"", "text/csv; charset=utf-8", "key,state\na,disabled\nb,invalid\n"},
		"lines":  {"?format=lines", "text/plain", "a b\nc,d\n"},
		"jsonl":  {"", "application/x-ndjson", "\"a\"\n{\"key\":\"b\",\"state\":\"disabled\"}\n"},
		"gzip":   {"", "application/gzip", zipped.String()},
		"form":   {"", writer.FormDataContentType(), form.String()},
		"untold": {"", "", "a;b"},
	} {
		g := w.group(openai(name))
		status, _, body := w.raw(http.MethodPost, "/groups/"+g.ID+"/keys/import"+c.query, http.Header{"Content-Type": {c.contentType}}, c.body)
		if status != http.StatusAccepted || !strings.Contains(body, `"total":2`) {
			t.Errorf("%s: answered %d %s", name, status, body)
		}
	}
}

func TestImportsThatCannotBe(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("a"))
	path := "/groups/" + g.ID + "/keys/import"
	for name, c := range map[string]struct {
		contentType, body string
		status            int
		says              string
	}{
		"broken list":   {"text/plain", `["sk-canary-list" sk]`, 422, "line 1: the file begins like a JSON array"},
		"cut list":      {"text/plain", `["sk-canary-list"`, 422, "cut off"},
		"two lists":     {"text/plain", `["a"] ["b"]`, 422, "one array only"},
		"wrong columns": {"text/csv", "key,canary\na,b\n", 422, "column 2"},
		"no columns":    {"text/csv", "sk-canary-1\nsk-canary-2\n", 422, "names no column key"},
		"binary":        {"application/octet-stream", "\x00\x01\x02", 422, "binary data"},
		"form, no file": {"multipart/form-data; boundary=x", "--x--\r\n", 422, "no file"},
		"form, cut":     {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nsk-1234", 422, "whole"},
		"two files":     {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\na\r\n--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nb\r\n--x--\r\n", 422, "two files"},
		"picture":       {"image/png", "x", 422, "text/plain"},
		"no media type": {"/;;", "x", 422, "text/plain"},
		"empty file":    {"text/plain", " \n", 422, "holds no key"},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, body := w.raw(http.MethodPost, path, http.Header{"Content-Type": {c.contentType}}, c.body)
			if status != c.status || !strings.Contains(body, c.says) || strings.Contains(body, "canary") {
				t.Errorf("answered %d %s", status, body)
			}
		})
	}
	if counts := w.Counts(1); counts.Total() != 0 {
		t.Errorf("files that were refused added keys: %+v", counts)
	}
	page, err := w.client.Operations(t.Context(), adminclient.OperationFilter{GroupID: g.ID})
	if err != nil || len(page.Operations) == 0 {
		t.Fatalf("listed %+v, %v", page, err)
	}
	for _, o := range page.Operations {
		if o.State != adminapi.OperationFailed || !strings.HasSuffix(o.Error, "nothing was changed") || strings.Contains(o.Error, "canary") {
			t.Errorf("a file that was refused left %+v", o)
		}
	}
}

func TestHalfAnUpload(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("a"))
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := w.client.ImportKeys(ctx, g.ID, reader, adminclient.ImportOptions{})
		done <- err
	}()
	if _, err := io.WriteString(writer, keyLines(20_000)); err != nil {
		t.Fatal(err)
	}
	// While it is uploaded nobody begins another one.
	_, err := w.client.ImportKeys(t.Context(), g.ID, strings.NewReader("sk-other"), adminclient.ImportOptions{})
	e := refused(t, err, adminapi.CodeConflict)
	if len(e.Details) != 1 || e.Details[0].Field != "operation_id" {
		t.Errorf("the conflict does not name the other operation: %+v", e)
	}
	cancel()
	_ = writer.CloseWithError(context.Canceled) // always nil; the transport waits for the reader of the body
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	o := w.ended(w.client.Operation(t.Context(), e.Details[0].Message))
	if o.State != adminapi.OperationFailed || !strings.Contains(o.Error, "broke off") || w.Counts(1).Total() != 0 {
		t.Errorf("half an upload left %+v and %d keys", o, w.Counts(1).Total())
	}
}

func TestAnUploadThatIsTooLarge(t *testing.T) {
	w := newWorld(t, func(o *adminhttp.Options) { o.Operations.MaxInputBytes = 2 << 20 })
	g := w.group(openai("a"))
	file := io.MultiReader(strings.NewReader(keyLines(1000)), io.LimitReader(spaces{}, 3<<20))
	_, err := w.client.ImportKeys(t.Context(), g.ID, file, adminclient.ImportOptions{})
	e := refused(t, err, adminapi.CodeTooLarge)
	if !strings.Contains(e.Message, "2 MiB") || !strings.Contains(e.Message, "nothing was changed") || w.Counts(1).Total() != 0 {
		t.Errorf("says %q", e.Message)
	}
	// One that says how large it is is not begun.
	_, err = w.client.ImportKeys(t.Context(), g.ID, strings.NewReader(strings.Repeat(" ", 3<<20)), adminclient.ImportOptions{})
	if again := refused(t, err, adminapi.CodeTooLarge); again.Message != e.Message {
		t.Errorf("says %q", again.Message)
	}
	if page, err := w.client.Operations(t.Context(), adminclient.OperationFilter{}); err != nil || len(page.Operations) != 1 {
		t.Errorf("%d operations, %v", len(page.Operations), err)
	}
}

func TestExportRoundTrip(t *testing.T) {
	w := newWorld(t)
	a, b := w.group(openai("a")), w.group(openai("b"))
	file := `{"key":"sk-plain-1","state":"active"}
{"key":"sk-heavy-1","weight":7,"notes":"two\\nlines, \"all\"","tags":["eu","team:a"],"state":"active"}
{"key":"with \"all\", of; it","state":"invalid","reason":"invalid_api_key","evidence":"no, really","failures":3}
{"key":"sk-off","state":"disabled","reason":"disabled_by_operator"}
{"key":"sk-cool","state":"active","cooldowns":[{"model":"gpt-4o","until":"2099-01-02T03:04:05.123456Z","reason":"rate_limited"}]}
`
	w.ended(w.client.ImportKeys(t.Context(), a.ID, strings.NewReader(file+"\n"+jsonLines(2300)), adminclient.ImportOptions{}))
	_, err := w.client.StartOperation(t.Context(), a.ID, adminapi.OperationInput{Kind: "export"})
	refused(t, err, adminapi.CodeInvalid)
	for _, format := range []string{"jsonl", "csv", "json"} {
		first := w.export(a.ID, format)
		if format == "jsonl" && !strings.HasPrefix(first, file) {
			t.Errorf("the export begins with %.500s", first)
		}
		w.ended(w.client.ImportKeys(t.Context(), b.ID, strings.NewReader(first), adminclient.ImportOptions{}))
		if second := w.export(b.ID, format); second != first {
			t.Errorf("%s: an export of what was imported differs: %d and %d bytes", format, len(first), len(second))
		}
		gone := w.ended(w.client.StartOperation(t.Context(), b.ID, adminapi.OperationInput{Kind: "deletion", All: true}))
		if gone.Counts["deleted"] != 2305 || gone.Total != 2305 {
			t.Errorf("deleted: %+v", gone)
		}
	}
	if text := w.export(a.ID, "text"); !strings.HasPrefix(text, "sk-plain-1\nsk-heavy-1\n\"with \\\"all\\\", of; it\"\nsk-off\n") {
		t.Errorf("the text begins with %.200s", text)
	}
}

func TestExportOfNothing(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("a"))
	for format, want := range map[string]string{"text": "", "jsonl": "", "json": "[\n]\n"} {
		if file := w.export(g.ID, format); file != want {
			t.Errorf("%s: %q", format, file)
		}
	}
}

// export runs an export and returns its file.
func (w *world) export(group, format string) string {
	w.t.Helper()
	o := w.ended(w.client.StartOperation(w.t.Context(), group, adminapi.OperationInput{Kind: "export", Format: format, Reveal: true}))
	result, err := w.client.OperationResult(w.t.Context(), o.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	defer result.Close()
	file, err := io.ReadAll(result)
	if err != nil || int64(len(file)) != o.ResultBytes {
		w.t.Fatalf("%d of %d bytes, %v", len(file), o.ResultBytes, err)
	}
	return string(file)
}

func TestCopyAndDelete(t *testing.T) {
	w := newWorld(t)
	a, b := w.group(openai("a")), w.group(openai("b"))
	w.ended(w.client.ImportKeys(t.Context(), a.ID, strings.NewReader(keyLines(1200)+"sk-shared\n"), adminclient.ImportOptions{}))
	w.ended(w.client.ImportKeys(t.Context(), b.ID, strings.NewReader("sk-shared"), adminclient.ImportOptions{}))
	copied := w.ended(w.client.StartOperation(t.Context(), b.ID, adminapi.OperationInput{Kind: "copy", FromGroupID: a.ID, State: "active"}))
	if copied.Counts["added"] != 1200 || copied.Counts["duplicate"] != 1 || copied.Total != 1201 {
		t.Errorf("copied: %+v", copied)
	}
	for _, wrong := range []adminapi.OperationInput{
		{Kind: "copy"}, {Kind: "copy", FromGroupID: b.ID}, {Kind: "deletion"}, {Kind: "deletion", All: true, State: "active"}, {Kind: "import"}, {Kind: "export", Reveal: true, Format: "lines"},
	} {
		_, err := w.client.StartOperation(t.Context(), b.ID, wrong)
		refused(t, err, adminapi.CodeInvalid)
	}
	_, err := w.client.StartOperation(t.Context(), b.ID, adminapi.OperationInput{Kind: "copy", FromGroupID: "99"})
	refused(t, err, adminapi.CodeNotFound)
	o := w.ended(w.client.StartOperation(t.Context(), b.ID, adminapi.OperationInput{Kind: "deletion", State: "invalid"}))
	if o.State != adminapi.OperationSucceeded || o.Done != 0 {
		t.Errorf("nothing to delete: %+v", o)
	}
	_, err = w.client.CancelOperation(t.Context(), o.ID)
	refused(t, err, adminapi.CodeConflict)
	_, err = w.client.OperationResult(t.Context(), "99")
	refused(t, err, adminapi.CodeNotFound)
}

func TestCancelOperation(t *testing.T) {
	begun := make(chan struct{})
	w := newWorld(t, func(o *adminhttp.Options) {
		o.Operations.Handle(bulk.Validation, func(ctx context.Context, r *bulk.Run) error {
			if err := r.Advance(ctx, r.Next(3, 3, map[string]int64{"ok": 3}), []byte("{}\n")); err != nil {
				return err
			}
			close(begun)
			<-ctx.Done()
			return ctx.Err()
		})
	})
	g := w.group(openai("a"))
	o, err := w.client.StartOperation(t.Context(), g.ID, adminapi.OperationInput{Kind: "validation"})
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	if asked, err := w.client.CancelOperation(t.Context(), o.ID); err != nil || !asked.CancelAsked {
		t.Errorf("asked: %+v, %v", asked, err)
	}
	if o = w.ended(o, nil); o.State != adminapi.OperationCanceled || o.Counts["ok"] != 3 || o.EndedAt == nil {
		t.Errorf("canceled: %+v", o)
	}
}

// jsonLines are keys as an export has them.
func jsonLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"key\":\"sk-json-%05d\",\"state\":\"active\"}\n", i)
	}
	return b.String()
}
