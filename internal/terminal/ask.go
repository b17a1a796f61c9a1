package terminal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// ErrNobodyToAsk is the answer of Confirm and ReadSecret where no terminal is at the other end.
var ErrNobodyToAsk = errors.New("the standard input is not a terminal")

// Confirm asks a question that is answered with y or yes; anything else, also the end of the input, means no.
func (s *Streams) Confirm(ctx context.Context, question string) (bool, error) {
	if !s.AsksPeople {
		return false, ErrNobodyToAsk
	}
	fmt.Fprintf(s.Err, "%s [y/N] ", Clean(question))
	answer, err := await(ctx, func() (string, error) {
		line, err := bufio.NewReader(s.In).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return line, err
	})
	if err != nil {
		return false, err
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}

// ReadSecret asks for a line that the terminal does not show.
func (s *Streams) ReadSecret(ctx context.Context, prompt string) (string, error) {
	file, ok := s.In.(*os.File)
	if !ok || !s.AsksPeople {
		return "", ErrNobodyToAsk
	}
	before, err := term.GetState(int(file.Fd()))
	if err != nil {
		return "", fmt.Errorf("asking for a secret: %w", err)
	}
	fmt.Fprint(s.Err, Clean(prompt)+" ")
	line, err := await(ctx, func() (string, error) {
		line, err := term.ReadPassword(int(file.Fd()))
		return string(line), err
	})
	fmt.Fprintln(s.Err)
	if ctx.Err() != nil {
		err = errors.Join(err, term.Restore(int(file.Fd()), before)) // what was being read still hides what is typed
	}
	return strings.TrimSpace(line), err
}

// await gives up waiting for the terminal when ctx ends: a read of it cannot be cancelled. The goroutine then stays in
// the read until the process ends, which is what an interrupted command does next.
func await(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := read()
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		return a.line, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
