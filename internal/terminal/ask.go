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
var ErrNobodyToAsk = errors.New("there is no terminal to ask on")

// ErrInterrupted is the answer of ReadSecret to Ctrl-C or Ctrl-D.
var ErrInterrupted = errors.New("interrupted")

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

// ReadSecret asks for a line that the terminal does not show. What is typed early is not shown either: the prompt comes after
// the terminal has stopped repeating what it gets.
func (s *Streams) ReadSecret(ctx context.Context, prompt string) (secret string, err error) {
	file, ok := s.In.(*os.File)
	if !ok || !s.AsksPeople {
		return "", ErrNobodyToAsk
	}
	before, err := term.MakeRaw(int(file.Fd()))
	if err != nil {
		return "", fmt.Errorf("asking for a secret: %w", err)
	}
	defer func() { err = errors.Join(err, term.Restore(int(file.Fd()), before)) }()
	line, err := await(ctx, func() (string, error) {
		both := struct {
			io.Reader
			io.Writer
		}{file, s.Err}
		return term.NewTerminal(both, "").ReadPassword(Clean(prompt) + " ")
	})
	if err != nil {
		fmt.Fprint(s.Err, "\r\n") // whoever typed no Enter has the cursor behind the prompt
	}
	if errors.Is(err, io.EOF) { // Ctrl-C raises no signal in this state
		err = ErrInterrupted
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
