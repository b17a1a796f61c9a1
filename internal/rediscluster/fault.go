package rediscluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/zap"

	"gpt-load/internal/fleet"
)

// fault is why Redis did not do what it was asked for.
type fault struct {
	text string // for people, without a secret
	// setting: only somebody who changes a setting, here or at the server, can mend it.
	setting bool
	// refused: the server is there and does other things.
	refused bool
	// broke: it says something of an old connection, and nothing of Redis as it is now.
	broke bool
}

// refusals are the error answers that have a remedy, by how they begin. Codes are those of the Redis sources (server.h,
// "shared.*err") and of the Redis Cluster specification; the general code ERR is left out.
var refusals = []struct{ prefix, text string }{
	{"WRONGPASS", "Redis refuses the user name or password of REDIS_DSN"},
	{"NOAUTH", "Redis wants a password; put it into REDIS_DSN"},
	{"AUTH", "Redis has no password, but REDIS_DSN names one; take it out, or set requirepass at the server"}, // before Redis 6
	{"NOPERM", "the user of REDIS_DSN may not do that: it needs all commands on the keys and channels that begin with REDIS_KEY_PREFIX in braces"},
	{"READONLY", "the Redis of REDIS_DSN is a read-only replica; name its master, or the Sentinels that know it"},
	{"This instance has cluster support disabled", "REDIS_DSN names several servers, as for a Redis Cluster, but they are none; add master_set if they are Sentinels"},
	{"DB index", "the Redis of REDIS_DSN does not have the database that it names"},
	{"SELECT is not allowed in cluster mode", "REDIS_DSN names a database, and leads to a Redis Cluster, which has database 0 only"},
	{"No such master", "the Sentinels of REDIS_DSN do not know its master_set"},
	{"unknown command 'SENTINEL'", "REDIS_DSN has a master_set, but names a server that is no Sentinel"},
	{"unknown command", "the server of REDIS_DSN lacks a command; it must be Redis 6.2 or newer, or compatible with that"},
	{"WRONGTYPE", "a key under REDIS_KEY_PREFIX belongs to another program; choose another prefix"},
}

// troubles are the error answers that pass, or that the operator of the server sees to. With away, the server does nothing
// at all for now; with others it goes on with what changes nothing.
var troubles = []struct {
	prefix, text string
	away         bool
}{
	{"LOADING", "Redis is still loading its data", true},
	{"MASTERDOWN", "the Redis replica has lost its master", true},
	{"CLUSTERDOWN", "the Redis Cluster is down or has no server for some of its slots", true},
	{"TRYAGAIN", "the Redis Cluster is moving slots", true},
	{"BUSY", "Redis is busy with a script", true},
	{"max number of clients", "Redis has reached its maxclients", true},
	{"OOM", "Redis has reached its maxmemory", false},
	{"MISCONF", "Redis refuses to write because it cannot save its data", false},
	{"NOREPLICAS", "Redis refuses to write without enough replicas", false},
}

var (
	errClosed = errors.New("the Redis client is closed")
	// errHaste is the cause when the caller's deadline came before ours.
	errHaste = errors.New("the deadline of the caller passed")
	// errHandshake and errHungUp are what a first connection meets when one side speaks TLS and the other does not.
	errHandshake = errors.New("the server does not answer the TLS handshake")
	errHungUp    = errors.New("the server closes a new connection")
)

// judge says in words what went wrong.
func judge(err error) fault {
	var answer *rueidis.RedisError
	var network *net.OpError
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &answer):
		return judgeAnswer(answer.Error())
	case errors.As(err, &authority), errors.As(err, &name), errors.As(err, &invalid):
		return fault{text: "the certificate of the Redis server is not accepted: " + innermost(err) + "; see ca_file of REDIS_DSN", setting: true}
	case errors.As(err, &record):
		return fault{text: "the server of REDIS_DSN does not speak TLS; write redis:// for one without", setting: true}
	case errors.Is(err, errHandshake):
		return fault{text: errHandshake.Error() + "; write redis:// in REDIS_DSN if it speaks without TLS"}
	case errors.Is(err, errHungUp):
		return fault{text: errHungUp.Error() + "; write rediss:// in REDIS_DSN if it speaks TLS"}
	case isTimeout(err):
		return fault{text: "Redis does not answer in time"}
	case errors.As(err, &dns):
		return fault{text: "the host of REDIS_DSN is not found: " + dns.Err}
	case errors.As(err, &network):
		return fault{text: "Redis cannot be reached: " + innermost(err)}
	case errors.Is(err, rueidis.ErrNoSlot):
		return fault{text: "the Redis Cluster has no server for some of its slots"}
	case errors.Is(err, errClosed):
		return fault{text: errClosed.Error()}
	}
	return fault{text: "the connection to Redis broke", broke: true}
}

func judgeAnswer(text string) fault {
	text = strings.TrimPrefix(text, "ERR ")
	for _, r := range refusals {
		if strings.HasPrefix(text, r.prefix) {
			return fault{text: r.text, setting: true, refused: true}
		}
	}
	for _, r := range troubles {
		if strings.HasPrefix(text, r.prefix) {
			return fault{text: r.text, refused: !r.away}
		}
	}
	const longest = 200 // bytes of a server's own words
	return fault{text: "Redis refuses: " + text[:min(len(text), longest)], refused: true}
}

// isTimeout includes context.DeadlineExceeded, which is a net.Error.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// innermost is the text of the error at the end of the chain: what the system or the certificate check says, without the
// layers that name what was dialled.
func innermost(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// health remembers whether Redis serves, so that a change is one line of the log however many calls notice it.
type health struct {
	log *zap.Logger

	mu       sync.Mutex
	away     bool
	answered time.Time                  // the latest success
	refused  map[string]map[string]bool // by the reason: what was refused
}

func (h *health) succeeded(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.there()
	h.answered = time.Now()
	for reason, asked := range h.refused {
		if asked[what] {
			delete(h.refused, reason) // the others that it kept off speak up if it still does
			h.log.Info("Redis does again what it refused", zap.String("what", what), zap.String("reason", reason))
		}
	}
}

// failed takes why something begun at that time did not work. What Redis did not answer before it last answered something
// else, as the calls do that waited for it together, says nothing of Redis as it is now.
func (h *health) failed(what string, begun time.Time, f fault, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case f.refused:
		h.there()
		if h.refused[f.text] == nil {
			if h.refused == nil {
				h.refused = make(map[string]map[string]bool)
			}
			h.refused[f.text] = make(map[string]bool)
			h.log.Warn("Redis refuses a part of the fleet's work", zap.String("what", what), zap.String("reason", f.text), zap.Error(err))
		}
		h.refused[f.text][what] = true
	case !h.away && !begun.Before(h.answered):
		h.away = true
		h.log.Warn("Redis is away; requests are served as before, changes reach this node by polling the database, request records wait on disk",
			zap.String("what", what), zap.String("reason", f.text), zap.Error(err))
	}
}

// there notes that the server answers; mu is held.
func (h *health) there() {
	if h.away {
		h.away = false
		h.log.Info("Redis answers again")
	}
}

// refusal returns why the server refuses what it was last asked for under this name, or "".
func (h *health) refusal(what string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for reason, asked := range h.refused {
		if asked[what] {
			return reason
		}
	}
	return ""
}

// unavailable is the error that callers get: it names what was tried and why it did not work.
func unavailable(what string, f fault, err error) error {
	return fleet.NewError(fleet.CodeUnavailable, what+": "+f.text, err)
}
