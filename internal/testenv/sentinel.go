package testenv

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// SentinelOptions is the size of a Redis that Sentinels watch.
type SentinelOptions struct {
	Replicas  int           // 1 if 0
	Sentinels int           // 3 if 0
	DownAfter time.Duration // of silence until a Sentinel takes the master for dead; 2 s if 0
	Password  string        // of the servers; the Sentinels want none
}

// SentinelSet is a Redis master with replicas, and Sentinels that promote a replica when the master is gone.
type SentinelSet struct {
	MasterSet string         // the name under which the Sentinels know the master
	Servers   []*RedisServer // the first was the master at the start
	Sentinels []*RedisServer
}

// StartSentinels starts a master, its replicas and the Sentinels, and returns when every Sentinel knows all of them,
// about two seconds later. ctx bounds the start only.
func StartSentinels(ctx context.Context, dir string, o SentinelOptions) (*SentinelSet, error) {
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.Sentinels == 0 {
		o.Sentinels = 3
	}
	if o.DownAfter == 0 {
		o.DownAfter = 2 * time.Second // a loaded machine is silent for one
	}
	s := &SentinelSet{MasterSet: "gpt-load"}
	if err := s.begin(ctx, dir, o); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *SentinelSet) begin(ctx context.Context, dir string, o SentinelOptions) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for i := range 1 + o.Replicas {
		// A former master comes back as a replica, so it too knows how to log in to one.
		options := RedisOptions{Password: o.Password}
		if o.Password != "" {
			options.Conf = []string{"masterauth " + o.Password}
		}
		if i > 0 {
			options.ReplicaOf = s.Servers[0]
		}
		server, err := StartRedis(ctx, filepath.Join(dir, "redis-"+strconv.Itoa(i)), options)
		if err != nil {
			return err
		}
		s.Servers = append(s.Servers, server)
	}
	conf := []string{
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d", s.MasterSet, s.Servers[0].ports[0].number, o.Sentinels/2+1),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", s.MasterSet, o.DownAfter.Milliseconds()),
		fmt.Sprintf("sentinel failover-timeout %s 5000", s.MasterSet),
	}
	if o.Password != "" {
		conf = append(conf, "sentinel auth-pass "+s.MasterSet+" "+o.Password)
	}
	for i := range o.Sentinels {
		sentinel, err := StartRedis(ctx, filepath.Join(dir, "sentinel-"+strconv.Itoa(i)), RedisOptions{Conf: conf, sentinel: true})
		if err != nil {
			return err
		}
		s.Sentinels = append(s.Sentinels, sentinel)
	}
	return poll(ctx, func() error {
		for _, sentinel := range s.Sentinels {
			answer, err := sentinel.Do(ctx, "SENTINEL", "MASTER", s.MasterSet)
			if err != nil {
				return err
			}
			known := pairs(answer)
			if known["num-slaves"] != strconv.Itoa(o.Replicas) || known["num-other-sentinels"] != strconv.Itoa(o.Sentinels-1) {
				return fmt.Errorf("a Sentinel knows %s replicas and %s other Sentinels", known["num-slaves"], known["num-other-sentinels"])
			}
		}
		return nil
	})
}

// pairs reads a list of names and values, one a line.
func pairs(answer string) map[string]string {
	values := map[string]string{}
	lines := strings.Split(answer, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		values[lines[i]] = lines[i+1]
	}
	return values
}

// DSN names the Sentinels and the master set in rueidis's form.
func (s *SentinelSet) DSN() string {
	account := ""
	if password := s.Servers[0].options.Password; password != "" {
		account = ":" + password + "@"
	}
	dsn := "redis://" + account + s.Sentinels[0].Address() + "/0?master_set=" + s.MasterSet
	for _, sentinel := range s.Sentinels[1:] {
		dsn += "&addr=" + sentinel.Address()
	}
	return dsn
}

// Master is the server that the Sentinels call master now: the answer of the first that answers.
func (s *SentinelSet) Master(ctx context.Context) (*RedisServer, error) {
	var errs []error
	for _, sentinel := range s.Sentinels {
		answer, err := sentinel.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", s.MasterSet)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		address := strings.Replace(answer, "\n", ":", 1)
		i := slices.IndexFunc(s.Servers, func(server *RedisServer) bool { return server.Address() == address })
		if i < 0 {
			return nil, fmt.Errorf("a Sentinel calls %q master, which is none of the servers", address)
		}
		return s.Servers[i], nil
	}
	return nil, errors.Join(errs...)
}

// Stop ends the Sentinels first, so that they do not act on the end of the others.
func (s *SentinelSet) Stop() error {
	var errs []error
	for _, server := range slices.Concat(s.Sentinels, s.Servers) {
		errs = append(errs, server.Stop())
	}
	return errors.Join(errs...)
}

// NewSentinels is StartSentinels for the length of a test.
func NewSentinels(tb testing.TB, o SentinelOptions) *SentinelSet {
	tb.Helper()
	return own(tb, func(ctx context.Context, dir string) (*SentinelSet, error) { return StartSentinels(ctx, dir, o) })
}
