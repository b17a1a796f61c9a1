package adminhttp

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
	"gpt-load/pkg/adminapi"
)

// namedKeys bounds the keys that one finding names.
const namedKeys = 20

const (
	severityHigh   = "high"
	severityMedium = "medium"
	severityLow    = "low"
)

// Secrets are those of the node's configuration beside AUTH_KEY, as far as they are set, and how to judge them.
type Secrets struct {
	EncryptionKey secret.Text
	MetricsToken  secret.Text
	// Weakness says why a secret is easy to guess, in words that follow "is weak:"; empty when it is not.
	Weakness func(secret.Text) string
}

// findings are what is not as safe as it could be, the worst first.
func (a *API) findings(ctx context.Context, groups []fleet.Group) ([]adminapi.Finding, error) {
	system, err := a.Store.Settings(ctx)
	if err != nil {
		return nil, err
	}
	encryption, err := a.Store.Encryption(ctx)
	if err != nil {
		return nil, err
	}
	values, _ := settings.Resolve(system, nil) // a value that is not valid is not served either
	keys := a.proxyKeys(values.ProxyKeys, groups)
	found := slices.Concat(a.ownSecrets(), a.sharedSecrets(keys), encryptionFindings(encryption), a.proxyKeyFindings(keys))
	if found == nil {
		found = []adminapi.Finding{}
	}
	rank := []string{severityHigh, severityMedium, severityLow}
	slices.SortStableFunc(found, func(x, y adminapi.Finding) int {
		return cmp.Compare(slices.Index(rank, x.Severity), slices.Index(rank, y.Severity))
	})
	return found, nil
}

// ownSecrets judges those of the configuration.
func (a *API) ownSecrets() (found []adminapi.Finding) {
	for _, s := range []struct {
		value secret.Text
		adminapi.Finding
	}{
		{a.AuthKey, adminapi.Finding{
			Code: "auth_key_weak", Severity: severityHigh, Message: "AUTH_KEY is weak: %s. Whoever guesses it owns every key in this installation.",
			Remedy: "Make a strong one with `openssl rand -hex 24`, set AUTH_KEY to it on every node, and restart them. Sessions end by it, and proxy_keys keeps the old one until it is changed, too.",
		}},
		{a.Secrets.EncryptionKey, adminapi.Finding{
			Code: "encryption_key_weak", Severity: severityMedium, Message: "ENCRYPTION_KEY is weak: %s. Whoever guesses it can read the stored keys from a copy of the database.",
			Remedy: "Make a strong one with `openssl rand -hex 32`, change to it with `gpt-load migrate-keys --from OLD --to NEW`, and set ENCRYPTION_KEY to it on every node.",
		}},
		{a.Secrets.MetricsToken, adminapi.Finding{
			Code: "metrics_token_weak", Severity: severityLow, Message: "METRICS_TOKEN is weak: %s. Metrics hold the names of groups and how they do.",
			Remedy: "Make a strong one with `openssl rand -hex 24`, and set METRICS_TOKEN to it on every node and in the scraper.",
		}},
	} {
		if s.value.IsEmpty() {
			continue
		}
		if why := a.Secrets.Weakness(s.value); why != "" {
			s.Message = fmt.Sprintf(s.Message, why)
			found = append(found, s.Finding)
		}
	}
	return found
}

// sharedSecrets finds one secret in two places, of which one may be read by somebody who must not know the other.
func (a *API) sharedSecrets(keys []*proxyKey) []adminapi.Finding {
	var pairs []string
	same := func(x, y secret.Text, pair string) {
		if !x.IsEmpty() && x.Equal(y) {
			pairs = append(pairs, pair)
		}
	}
	same(a.AuthKey, a.Secrets.EncryptionKey, "AUTH_KEY and ENCRYPTION_KEY")
	same(a.AuthKey, a.Secrets.MetricsToken, "AUTH_KEY and METRICS_TOKEN")
	same(a.Secrets.EncryptionKey, a.Secrets.MetricsToken, "ENCRYPTION_KEY and METRICS_TOKEN")
	for _, k := range keys {
		same(a.Secrets.EncryptionKey, k.value, "ENCRYPTION_KEY and a proxy key")
		same(a.Secrets.MetricsToken, k.value, "METRICS_TOKEN and a proxy key")
	}
	if len(pairs) == 0 {
		return nil
	}
	return []adminapi.Finding{{
		Code: "secrets_shared", Severity: severityHigh,
		Message: "One secret serves twice: " + strings.Join(pairs, "; ") + ". Whoever gets it for the one purpose has it for the other.",
		Remedy:  "Give each a value of its own: `openssl rand -hex 32` makes one. ENCRYPTION_KEY is changed with `gpt-load migrate-keys`, never by setting it alone.",
	}}
}

func encryptionFindings(e fleet.Encryption) (found []adminapi.Finding) {
	if !e.On {
		found = append(found, adminapi.Finding{
			Code: "encryption_off", Severity: severityMedium,
			Message: "Keys are stored in clear, since no ENCRYPTION_KEY is set. Whoever gets a copy of the database, a backup for example, has them all.",
			Remedy:  "Make a key with `openssl rand -hex 32`, seal what is stored with `gpt-load migrate-keys --to NEW`, and set ENCRYPTION_KEY to it on every node.",
		})
	}
	switch {
	case e.Changing:
		found = append(found, adminapi.Finding{
			Code: "encryption_change_unfinished", Severity: severityMedium,
			Message: "A change of ENCRYPTION_KEY is not finished: some secrets are sealed with one key, some with another.",
			Remedy:  "Let `gpt-load migrate-keys` come to its end. If it was stopped, run it again as before: it goes on where it was.",
		})
	case e.Other:
		found = append(found, adminapi.Finding{
			Code: "encryption_key_other", Severity: severityMedium,
			Message: "Secrets are sealed with ENCRYPTION_KEY_OLD of this node, not with its ENCRYPTION_KEY: the key that is to be given up opens them.",
			Remedy:  "Run `gpt-load migrate-keys --online` from the old key to the new one. If the two settings of the node are mixed up, swap them and restart it.",
		})
	case e.Second:
		found = append(found, adminapi.Finding{
			Code: "encryption_key_old_left", Severity: severityLow,
			Message: "ENCRYPTION_KEY_OLD is set on this node, though no change of the key is under way. A key that was given up should be known nowhere.",
			Remedy:  "Take ENCRYPTION_KEY_OLD off every node and restart them.",
		})
	}
	return found
}

func (a *API) proxyKeyFindings(keys []*proxyKey) (found []adminapi.Finding) {
	var weak []string
	why := ""
	for _, k := range keys {
		if k.value.Equal(a.AuthKey) {
			found = append(found, adminapi.Finding{
				Code: "proxy_key_is_auth_key", Severity: severityHigh, ProxyKeys: []string{k.fingerprint},
				Message: "AUTH_KEY is a proxy key, too, as it is after the first start. Every client that has it can administer this installation and read every provider key.",
				Remedy:  "Make keys for clients with `openssl rand -hex 24`, put them into the setting proxy_keys or into groups in place of AUTH_KEY, and give clients those. If clients had AUTH_KEY, change it afterwards.",
			})
			continue // how it can be guessed is told of AUTH_KEY
		}
		if w := a.Secrets.Weakness(k.value); w != "" {
			weak = append(weak, k.fingerprint)
			why = cmp.Or(why, w)
		}
	}
	if len(weak) > 0 {
		found = append(found, adminapi.Finding{
			Code: "proxy_keys_weak", Severity: severityMedium, ProxyKeys: weak[:min(len(weak), namedKeys)],
			Message: fmt.Sprintf("Proxy keys that are weak: %d of %d; of the first one, %s. Whoever guesses one uses your provider keys.", len(weak), len(keys), why),
			Remedy:  "Make strong ones with `openssl rand -hex 24`, put them beside the weak ones in the setting proxy_keys or in their groups, move the clients over, and take the weak ones out.",
		})
	}
	return found
}
