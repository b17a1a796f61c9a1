package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

// maxInputBytes bounds what is read of a file that is held whole: four times what the API takes as one body.
const maxInputBytes = 8 << 20

// stdin is the standard input until ctx ends: a read of a terminal or a pipe cannot be cancelled, and would keep Ctrl-C
// from ending a command that waits for input. The goroutine ends with the input or, after Ctrl-C, with the process.
func (a *app) stdin(ctx context.Context) io.Reader {
	reader, writer := io.Pipe()
	go func() {
		_, err := io.Copy(writer, a.In)
		_ = writer.CloseWithError(err) // always nil
	}()
	context.AfterFunc(ctx, func() { _ = reader.CloseWithError(context.Cause(ctx)) }) // always nil
	return reader
}

// readInput reads a file, or the standard input for "-".
func (a *app) readInput(ctx context.Context, path string) (string, error) {
	name := nameOfInput(path)
	var in io.Reader
	if path == "-" {
		in = a.stdin(ctx)
	} else {
		f, err := os.Open(path)
		if err != nil {
			return "", usage(fmt.Errorf("reading a file: %w", err), "")
		}
		defer func() { _ = f.Close() }() // nothing was written
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, maxInputBytes+1))
	if err == nil && len(content) > maxInputBytes {
		err = fmt.Errorf("it is larger than %d MiB", maxInputBytes>>20)
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", usage(fmt.Errorf("reading %s: %w", name, err), "")
	}
	return string(content), nil
}

func nameOfInput(path string) string {
	if path == "-" {
		return "the standard input"
	}
	return path
}
