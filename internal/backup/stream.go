package backup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of one document of a file. The parser takes about 400 bytes for each piece of one, so that a hostile file takes
// 200 MB at most. 500 groups with a hundred lines each are a tenth of that.
const (
	maxDocumentBytes  = 8 << 20
	maxDocumentPieces = 500_000
)

// stream cuts a file into its documents, by the lines that begin with --- or ..., which stand nowhere else in YAML.
type stream struct {
	r    *bufio.Reader
	line int // lines read
	// pending says that the end of the document before was the beginning of the next one.
	pending bool
}

// next gives the next document that is not empty and the number of lines before it, or io.EOF.
func (s *stream) next() (content []byte, before int, err error) {
	for {
		content, before, err = s.document()
		if err != nil || len(bytes.TrimSpace(withoutComments(content))) > 0 {
			return content, before, err
		}
	}
}

func (s *stream) document() (content []byte, before int, err error) {
	before = s.line
	began := s.pending
	s.pending = false
	pieces := 0
	for {
		line, err := s.readLine(maxDocumentBytes - len(content))
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, err
		}
		if len(line) == 0 && err != nil {
			if len(content) == 0 && !began {
				return nil, 0, io.EOF
			}
			return content, before, nil
		}
		if marker := string(line[:min(len(line), 3)]); (marker == "---" || marker == "...") && strings.TrimSpace(string(line)) == marker {
			s.pending = true
			return content, before, nil
		}
		if pieces += countPieces(line); pieces > maxDocumentPieces {
			return nil, 0, fileError(s.line, "the document has more than %d values; is this a backup of GPT-Load?", maxDocumentPieces)
		}
		content = append(content, line...)
	}
}

// readLine reads a line with its end, at most limit bytes.
func (s *stream) readLine(limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := s.r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, fileError(s.line+1, "the document is larger than %d MiB; is this a backup of GPT-Load?", maxDocumentBytes>>20)
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if len(line) > 0 {
			s.line++
		}
		if err != nil && !errors.Is(err, io.EOF) {
			err = fmt.Errorf("reading the backup: %w", err)
		}
		return line, err
	}
}

// countPieces is at least the number of values that begin on a line.
func countPieces(line []byte) int {
	n := 1
	for i, c := range line {
		switch c {
		case ',', '[', '{', ':':
			n++
		case '-', '?':
			if i+1 < len(line) && line[i+1] == ' ' {
				n++
			}
		}
	}
	return n
}

func withoutComments(content []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(content) {
		if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) {
			kept = append(kept, line...)
		}
		if len(kept) > 1<<10 { // enough to know
			break
		}
	}
	return kept
}

// parse makes a document nodes, whose lines are those of the file.
func parse(content []byte, before int) (*yaml.Node, error) {
	if !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0 {
		return nil, fileError(before+1, "it is not UTF-8 text")
	}
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		// The parser's own words may quote the file, which may hold secrets.
		return nil, fileError(before+lineOf(err), "this is not YAML; check the indentation, the quotes and the brackets here and above")
	}
	if len(document.Content) != 1 {
		return nil, fileError(before+1, "the document is empty")
	}
	shift(&document, before)
	return document.Content[0], nil
}

// lineOf finds the number in an error of the parser.
func lineOf(err error) int {
	_, rest, _ := strings.Cut(err.Error(), "line ")
	n := 0
	if _, scanned := fmt.Sscanf(rest, "%d", &n); scanned != nil {
		return 1
	}
	return n
}

func shift(n *yaml.Node, by int) {
	n.Line += by
	for _, child := range n.Content {
		shift(child, by)
	}
}
