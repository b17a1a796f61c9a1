package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Streams are the standard streams of a command.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer

	// AsksPeople says that In is a terminal where somebody can answer, and that the question can be seen.
	AsksPeople bool
	// ShowsProgress says that Err is a terminal, where a line may be drawn again and again.
	ShowsProgress bool
	// Width of Out in cells; 0 where it is no terminal, and so has no width.
	Width int
	// Colours says that Out is a terminal that shows colours and that nobody asked it not to.
	Colours bool
}

// Standard describes the streams of this process. NO_COLOR (no-color.org) and TERM=dumb switch colours off.
func Standard() *Streams {
	s := &Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		AsksPeople:    isTerminal(os.Stdin) && isTerminal(os.Stderr),
		ShowsProgress: isTerminal(os.Stderr) && os.Getenv("TERM") != "dumb",
	}
	if isTerminal(os.Stdout) {
		s.Colours = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		s.Width = widthOf(os.Stdout)
	}
	return s
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// widthOf is the width of a terminal's window; a terminal that does not know it, such as a serial line, has 80 cells.
func widthOf(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		return 80
	}
	return width
}
