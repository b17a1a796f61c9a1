package testenv

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// redisTimeout bounds a command that the caller gave no nearer deadline.
const redisTimeout = 5 * time.Second

// Do sends one command over a connection of its own and returns the answer: text as it is, a number in digits, a list
// as its items in lines, nothing as "". An error answer is an error.
func (s *RedisServer) Do(ctx context.Context, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	answers := bufio.NewReader(conn)
	if s.options.Password != "" && !s.options.sentinel {
		account := []string{"AUTH", s.options.Password}
		if s.options.User != "" {
			account = []string{"AUTH", s.options.User, s.options.Password}
		}
		if _, err := exchange(conn, answers, account); err != nil {
			return "", err
		}
	}
	return exchange(conn, answers, command)
}

func (s *RedisServer) dial(ctx context.Context) (net.Conn, error) {
	if !s.options.TLS {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", s.Address())
	}
	authority, err := os.ReadFile(s.Certificate.AuthorityFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	return dialer.DialContext(ctx, "tcp", s.Address())
}

// exchange writes a command and reads its answer in the Redis serialization protocol, version 2
// (https://redis.io/docs/latest/develop/reference/protocol-spec/).
func exchange(conn io.Writer, answers *bufio.Reader, command []string) (string, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "*%d\r\n", len(command))
	for _, word := range command {
		fmt.Fprintf(&text, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := io.WriteString(conn, text.String()); err != nil {
		return "", err
	}
	return readAnswer(answers)
}

func readAnswer(from *bufio.Reader) (string, error) {
	line, err := from.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("an empty line where an answer begins")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+', ':':
		return rest, nil
	case '-':
		return "", errors.New(rest)
	}
	size, err := strconv.Atoi(rest)
	if err != nil {
		return "", fmt.Errorf("an answer that begins with %q", line)
	}
	if size < 0 {
		return "", nil
	}
	if kind == '*' {
		items := make([]string, size)
		for i := range items {
			if items[i], err = readAnswer(from); err != nil {
				return "", err
			}
		}
		return strings.Join(items, "\n"), nil
	}
	body := make([]byte, size+2)
	if _, err := io.ReadFull(from, body); err != nil {
		return "", err
	}
	return string(body[:size]), nil
}
