package gptload1_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/gptload1"
)

const oneGroup = "INSERT INTO `groups` (`id`, `name`, `channel_type`, `upstreams`, `test_model`) VALUES (1, 'openai', 'openai', '[{\"url\":\"https://a.example\",\"weight\":1}]', 'm');"

// TestOpensWhat1xSealed has a value that another implementation of the same encryption made.
func TestOpensWhat1xSealed(t *testing.T) {
	f := newFixture(t, sqliteProduct, "1.4")
	f.exec(t, oneGroup+"INSERT INTO `api_keys` (`group_id`, `key_value`, `key_hash`) VALUES (1, "+
		"'000102030405060708090a0bb40e9eb9294dc63f412b6d1daa4430aab27947053c1d0a2fd902002a9948', '372e058c173dc8472364906ff0ee2c657e6bc5d9064c7e311eafc0de83a96893')")
	d := open(t, f.dsn, "correct horse battery staple")
	plan := planOf(t, d)
	if keys, _ := keysOf(t, d, plan.Groups[0]); len(keys) != 1 || keys[0].Value.Reveal() != "sk-value-of-1x" {
		t.Errorf("keys: %d", len(keys))
	}
}

func TestPlanRefusesTheWrongEncryptionKey(t *testing.T) {
	clear, sealed := newSealer(t, ""), newSealer(t, passphrase)
	hexKey := hex.EncodeToString([]byte(strings.Repeat("provider-", 5))) // looks like an encrypted value
	for _, p := range products {
		for name, c := range map[string]struct {
			given string
			fill  func(f *fixture)
			says  string // empty: accepted
		}{
			"wrong": {"another one", func(f *fixture) { f.addKeys(t, sealed, keyRow{group: 1, value: "sk-1"}) }, "wrong: it opens none of the 1 encrypted key"},
			"missing": {"", func(f *fixture) {
				f.addKeys(t, sealed, keyRow{group: 1, value: "sk-1"}, keyRow{group: 1, value: "sk-2"})
			}, "2 keys are in the 1.x database encrypted"},
			"missing for some": {"", func(f *fixture) {
				f.addKeys(t, clear, keyRow{group: 1, value: "sk-0"})
				f.addKeys(t, sealed, keyRow{group: 1, value: "sk-1"})
			}, "1 key is in"},
			"superfluous": {passphrase, func(f *fixture) {
				f.addKeys(t, clear, keyRow{group: 1, value: "sk-1"}, keyRow{group: 1, value: hexKey})
			}, "holds its keys in clear"},
			"none for hexadecimal keys":  {"", func(f *fixture) { f.addKeys(t, clear, keyRow{group: 1, value: hexKey}) }, ""},
			"any where there is nothing": {passphrase, func(*fixture) {}, ""},
		} {
			t.Run(p.name+", "+name, func(t *testing.T) {
				f := newFixture(t, p, "1.4")
				f.exec(t, oneGroup)
				c.fill(f)
				plan, err := open(t, f.dsn, c.given).Plan(t.Context())
				if c.says == "" {
					if err != nil {
						t.Errorf("refused: %v", err)
					}
					return
				}
				if fleet.CodeOf(err) != fleet.CodeInvalid || !strings.Contains(err.Error(), c.says) || plan != nil {
					t.Errorf("%v, want %q", err, c.says)
				}
			})
		}
	}
}

func TestPlanOfAMixture(t *testing.T) {
	f := newFixture(t, sqliteProduct, "1.4")
	f.exec(t, oneGroup)
	f.addKeys(t, newSealer(t, ""), keyRow{group: 1, value: "sk-clear", status: "active"})
	f.addKeys(t, newSealer(t, passphrase), keyRow{group: 1, value: "sk-sealed", status: "active"})
	f.addKeys(t, newSealer(t, "a key of earlier times"), keyRow{group: 1, value: "sk-lost", status: "active"})
	// A row that 1.0 made and no migration touched has no digest.
	f.exec(t, "INSERT INTO `api_keys` (`group_id`, `key_value`) VALUES (1, 'sk-undigested')")
	d := open(t, f.dsn, passphrase)
	plan := planOf(t, d)
	want := []string{
		"openai/api_keys left_out: 1 row encrypted with another key than this one, or damaged (id 3); not imported",
		"openai/api_keys noted: 2 rows in clear between encrypted ones (id 1, 4); imported, because 1.x serves them",
	}
	if got := lines(plan.Notices); !slices.Equal(got, want) {
		t.Errorf("notices\n%s", strings.Join(got, "\n"))
	}
	keys, tally := keysOf(t, d, plan.Groups[0])
	if tally != (gptload1.KeyTally{Active: 3, LeftOut: 1}) {
		t.Errorf("tally %+v", tally)
	}
	for i, want := range []string{"sk-clear", "sk-sealed", "sk-undigested"} {
		if keys[i].Value.Reveal() != want {
			t.Errorf("key %d is not %s", i, want)
		}
	}
	if shown := fmt.Sprintf("%+v %+v", plan, keys); strings.Contains(shown, "sk-") {
		t.Errorf("a key prints itself: %s", shown)
	}
	// With the other key the other row comes along.
	if sum := planOf(t, open(t, f.dsn, "a key of earlier times")).Keys(); sum != (gptload1.KeyTally{Active: 3, LeftOut: 1}) {
		t.Errorf("with the other key: %+v", sum)
	}
}
