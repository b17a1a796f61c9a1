package keyfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"gpt-load/internal/fleet"
)

// Format is how the keys of a file are written.
type Format string

// The formats.
const (
	Detect    Format = "" // find it out from the beginning of the file
	Text      Format = "text"
	Lines     Format = "lines"
	CSV       Format = "csv"
	JSON      Format = "json"
	JSONLines Format = "jsonl"
)

// Formats lists what a format may be called.
var Formats = []string{string(Text), string(Lines), string(CSV), string(JSON), string(JSONLines)}

// OfContentType is the format that a Content-Type names, and Detect where it names none: text/plain is what every client says
// of a file that it does not know.
func OfContentType(mediaType string) Format {
	switch mediaType {
	case "text/csv":
		return CSV
	case "application/jsonl", "application/x-ndjson", "application/x-jsonlines", "application/jsonlines":
		return JSONLines
	}
	return Detect
}

// maxEntry bounds one entry as it stands in the file, in bytes.
const maxEntry = 64 << 10

// bufferBytes is several entries: each look at a whole entry that is not buffered yet moves what is left to the front.
const bufferBytes = 4 * maxEntry

// Options are how a file is read.
type Options struct {
	Format Format
	// MaxBytes bounds the file after decompression; more is CodeTooLarge. 0 takes 1 GiB.
	MaxBytes int64
	// Refuse says why a value that could be a key is not wanted; it may be nil.
	Refuse func(value string) string
}

const usualMaxBytes = 1 << 30

// Reader reads the entries of one file.
type Reader struct {
	in     *bufio.Reader
	format Format
	refuse func(string) string

	line    int // of the next byte
	number  int
	columns []string // of CSV
	comma   byte
	begun   bool // the bracket of an array, or the names of columns, have been read
	ended   bool
	buffer  []byte
}

// NewReader looks at the beginning of a file. A file that is none of keys is CodeInvalid; the reader's own errors are returned
// as they are.
func NewReader(file io.Reader, o Options) (*Reader, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = usualMaxBytes
	}
	in := bufio.NewReaderSize(&bounded{file, o.MaxBytes, o.MaxBytes}, bufferBytes)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		plain, err := gzip.NewReader(in)
		if err != nil {
			return nil, gzipFault(err)
		}
		in = bufio.NewReaderSize(&bounded{gzipReader{plain}, o.MaxBytes, o.MaxBytes}, bufferBytes)
	}
	r := &Reader{in: in, format: o.Format, refuse: o.Refuse, line: 1}
	if r.refuse == nil {
		r.refuse = func(string) string { return "" }
	}
	return r, r.look()
}

// Format is the format in use.
func (r *Reader) Format() Format { return r.format }

// Next returns the next entry, io.EOF behind the last one, CodeInvalid where the file cannot be read on, and the reader's own
// error where that is what goes wrong.
func (r *Reader) Next() (Entry, error) {
	if r.ended {
		return Entry{}, io.EOF
	}
	var e Entry
	var err error
	switch r.format {
	case Lines:
		e, err = r.nextLine()
	case CSV:
		e, err = r.nextRow()
	case JSON:
		e, err = r.nextElement()
	default:
		e, err = r.nextToken()
	}
	if err != nil {
		r.ended = errors.Is(err, io.EOF)
		return Entry{}, err
	}
	r.number++
	e.Number = r.number
	if e.Fault == "" {
		e.Fault = e.Key.fault()
	}
	if e.Fault == "" {
		e.Fault = r.refuse(e.Key.Value.Reveal())
	}
	if e.Fault != "" {
		e.Key = Key{}
	}
	return e, nil
}

// look skips the byte order mark, refuses what is no text and finds the format.
func (r *Reader) look() error {
	head, err := r.in.Peek(maxEntry)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		_, _ = r.in.Discard(3)
		head = head[3:]
	}
	const remedy = "; send text, CSV, JSON or JSON lines in UTF-8, plain or compressed with gzip"
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return invalid("the file is UTF-16 text" + remedy)
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return invalid("the file is a ZIP archive or a spreadsheet" + remedy)
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return invalid("the file is compressed more than once" + remedy)
	case bytes.IndexByte(head, 0) >= 0:
		return invalid("the file is binary data" + remedy)
	}
	if r.format != Detect {
		return nil
	}
	begin := bytes.TrimLeft(head, " \t\r\n")
	first, _, _ := bytes.Cut(begin, []byte("\n"))
	switch {
	case len(begin) > 0 && begin[0] == '[':
		r.format = JSON
	case namesColumns(string(bytes.TrimRight(first, "\r"))):
		r.format = CSV
	default:
		r.format = Text
	}
	return nil
}

func invalid(message string) error { return fleet.NewError(fleet.CodeInvalid, message, nil) }

// bounded ends with CodeTooLarge when more than max bytes come.
type bounded struct {
	r         io.Reader
	left, max int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return 0, fleet.NewError(fleet.CodeTooLarge, fmt.Sprintf("the file has more than %d MiB of text; split it into several", b.max>>20), nil)
	}
	return n, err
}

// gzipReader tells a damaged file from a reader that is.
type gzipReader struct{ r io.Reader }

// Read implements io.Reader.
func (g gzipReader) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = gzipFault(err)
	}
	return n, err
}

func gzipFault(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fleet.NewError(fleet.CodeInvalid, "the gzip file has no end; was it cut off?", err)
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), strings.HasPrefix(err.Error(), "flate: "):
		return fleet.NewError(fleet.CodeInvalid, "the gzip file is damaged; compress it again", err)
	}
	return err
}
