package upstream_test

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/upstream"
)

// TestMarks: under full load, with connections that are cut, answers that come early or with something behind them, and
// clients that leave at any moment, no byte of one exchange is ever seen in another. Each request and answer consists of
// its own mark, and the memory of a body is overwritten as soon as its exchange is over.
func TestMarks(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			limits := config
			limits.MaxIdleConns, limits.MaxIdleConnsPerHost = 6, 6
			short, _ := upstream.Both(limits, trusting(), 0)
			defer short.Close()
			p := startPeerOver(t, scheme, func(v *visit) { answerMark(t, v) })
			var wg sync.WaitGroup
			var whole, broken [10]int
			var mu sync.Mutex
			for worker := range 10 {
				wg.Go(func() {
					w := &marker{t: t, short: short, target: p.url(), random: rand.New(rand.NewPCG(uint64(worker), 7))} //nolint:gosec // a test
					for i := range 100 {
						ended := w.exchange(fmt.Sprintf("%d-%d", worker, i))
						mu.Lock()
						if ended {
							whole[worker]++
						} else {
							broken[worker]++
						}
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			for worker := range whole {
				if whole[worker] < 10 || broken[worker] < 10 {
					t.Errorf("worker %d: %d exchanges went well, %d did not", worker, whole[worker], broken[worker])
				}
			}
		})
	}
}

// markSize is how often a mark stands in its body, from 20 bytes to some 200 KB.
func markSize(mark string) int {
	sizes := []int{2, 20, 200, 2000, 9000}
	return sizes[markHash(mark)/16%uint32(len(sizes))]
}

func markHash(mark string) uint32 {
	h := fnv.New32a()
	_, _ = io.WriteString(h, mark)
	return h.Sum32()
}

// answerMark serves one request as its mark wants it.
func answerMark(t *testing.T, v *visit) {
	request, err := http.ReadRequest(v.r)
	if err != nil {
		v.over = true
		return
	}
	mark := request.Header.Get("X-Mark")
	how := markHash(mark) % 12
	if how == 0 { // an early answer
		v.send("HTTP/1.1 413 Too Large\r\nX-Mark: " + mark + "\r\nConnection: close\r\nContent-Length: " + fmt.Sprint(len(mark)+1) + "\r\n\r\n" + mark + ";")
		v.over = true
		return
	}
	body, err := io.ReadAll(request.Body)
	unit := []byte(mark + ";")
	if !bytes.Equal(body, bytes.Repeat(unit, len(body)/len(unit)+1)[:len(body)]) {
		t.Errorf("%s: the server saw %.60q", mark, body)
	}
	if err != nil {
		v.over = true
		return
	}
	content := strings.Repeat(mark+";", markSize(mark))
	head := "HTTP/1.1 200 OK\r\nX-Mark: " + mark + "\r\n"
	length := head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(content), content)
	half := len(content) / 2
	chunked := head + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\nX-Sum: %s\r\n\r\n",
		half, content[:half], len(content)-half, content[half:], mark)
	poison := "HTTP/1.1 200 OK\r\nX-Mark: poison\r\nContent-Length: 6\r\n\r\npoison"
	cut := int(markHash(mark)/16) % len(chunked)
	switch how {
	case 1, 2:
		v.send(length)
	case 3, 4:
		v.send(chunked)
	case 5:
		v.send("HTTP/1.1 103 Early Hints\r\nLink: </" + mark + ">\r\n\r\n" + length)
	case 6:
		v.send(chunked[:cut])
		_ = v.tcp().Close()
		v.over = true
	case 7:
		v.send(chunked[:cut])
		v.reset()
	case 8:
		v.send(length + poison)
	case 9:
		v.send(chunked + poison)
	case 10: // net/http's parser
		v.send(strings.Replace(chunked, "X-Mark", "X-Long: "+strings.Repeat("a", 6000)+"\r\nX-Mark", 1))
	case 11:
		v.send(head + "\r\n" + content)
		v.over = true
	}
}

// marker makes exchanges from one goroutine.
type marker struct {
	t      *testing.T
	short  *upstream.Short
	target string
	random *rand.Rand
	memory []byte
}

// exchange reports whether the answer came whole.
func (m *marker) exchange(mark string) bool {
	unit := []byte(mark + ";")
	m.memory = append(m.memory[:0], bytes.Repeat(unit, markSize(mark))...)
	defer func() {
		for i := range m.memory {
			m.memory[i] = "CANARY"[i%6]
		}
	}()
	ctx, cancel := context.WithCancel(m.t.Context())
	defer cancel()
	leaves := m.random.IntN(6)
	if leaves == 0 {
		timer := time.AfterFunc(time.Duration(m.random.IntN(3000))*time.Microsecond, cancel)
		defer timer.Stop()
	}
	request := post(ctx, m.target, "", false, false)
	request.Header["X-Mark"] = []string{mark}
	request.Body, request.ContentLength = held{bytes.NewReader(m.memory)}, int64(len(m.memory))
	response, err := m.short.RoundTrip(request)
	if err != nil {
		return false
	}
	if got := response.Header.Get("X-Mark"); got != mark {
		m.t.Errorf("%s: the answer is %q's", mark, got)
	}
	var others sync.WaitGroup
	if leaves == 1 {
		others.Go(func() { _ = response.Body.Close() })
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	others.Wait()
	if !bytes.Equal(body, bytes.Repeat(unit, len(body)/len(unit)+1)[:len(body)]) {
		m.t.Errorf("%s: got another's bytes: %.60q", mark, body)
	}
	if err == nil && response.StatusCode == http.StatusOK && response.ContentLength >= 0 && int64(len(body)) != response.ContentLength {
		m.t.Errorf("%s: %d bytes of %d", mark, len(body), response.ContentLength)
	}
	if sum := response.Trailer.Get("X-Sum"); err == nil && sum != "" && sum != mark {
		m.t.Errorf("%s: the trailer is %q's", mark, sum)
	}
	return err == nil
}
