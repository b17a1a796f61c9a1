package settings_test

import (
	"strings"
	"testing"
	"time"

	"gpt-load/internal/settings"
)

func TestDefaultsAreValidAndDocumented(t *testing.T) {
	values, faults := settings.Resolve(nil, nil)
	if len(faults) > 0 {
		t.Fatalf("defaults out of bounds: %v", faults)
	}
	if values.RequestTimeout != 600*time.Second || values.MaxRetries != 3 || values.RequestLogRetention != 7*24*time.Hour ||
		values.StreamIdleTimeout != 300*time.Second || values.CooldownWait != 2*time.Second {
		t.Errorf("unexpected defaults: %+v", values)
	}
	for _, d := range settings.Table() {
		if d.Doc == "" || d.Section == "" {
			t.Errorf("%s has no doc or section", d.Name)
		}
		if got, fault := settings.Normalize(d.Name, d.Default, false); fault != nil || got != d.Default {
			t.Errorf("%s: default %q does not normalise to itself: %q, %v", d.Name, d.Default, got, fault)
		}
	}
}

func TestGroupOverridesSystem(t *testing.T) {
	system := map[string]string{"max_retries": "5", "connect_timeout": "7"}
	group := map[string]string{"max_retries": "1", "app_url": "http://group.example"}
	values, faults := settings.Resolve(system, group)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if values.MaxRetries != 1 || values.ConnectTimeout != 7*time.Second {
		t.Errorf("got %d retries, %v connect timeout", values.MaxRetries, values.ConnectTimeout)
	}
	if values.AppURL != "" {
		t.Error("a group overrode a system-only setting")
	}
	d, _ := settings.Find("max_retries")
	if text, level := settings.Effective(d, system, group); text != "1" || level != settings.LevelGroup {
		t.Errorf("effective = %q from %s", text, level)
	}
}

func TestABadStoredValueFallsBack(t *testing.T) {
	values, faults := settings.Resolve(map[string]string{"max_retries": "5"}, map[string]string{"max_retries": "9999"})
	if values.MaxRetries != 5 || len(faults) != 1 || faults[0].Field != "max_retries" {
		t.Errorf("got %d retries, faults %v", values.MaxRetries, faults)
	}
}

func TestNormalizeRefusals(t *testing.T) {
	for _, c := range []struct {
		name  string
		value any
		group bool
		says  string
	}{
		{"no_such", 1, false, "not a setting"},
		{"app_url", "https://x.example", true, "cannot be overridden"},
		{"app_url", "ftp://x", false, "http or https"},
		{"max_retries", 21, true, "from 0 to 20"},
		{"max_retries", 1.5, true, "whole number"},
		{"max_retries", "many", true, "whole number"},
		{"max_retries", []string{"1"}, true, "string, a number"},
		{"enable_request_body_logging", "maybe", true, "true or false"},
		{"failover_status_codes", "429,600", true, "from 100 to 599"},
		{"proxy_keys", "a b", false, "space"},
		{"proxy_url", "gopher://user:hunter22@host", true, "scheme"},
		{"exhausted_patterns", "no", true, "shorter"},
		{"upstream_protocol", "http3", true, "auto, http1 or http2"},
	} {
		_, fault := settings.Normalize(c.name, c.value, c.group)
		if fault == nil || !strings.Contains(fault.Message, c.says) {
			t.Errorf("%s=%v: %v, want words %q", c.name, c.value, fault, c.says)
		}
		if fault != nil && strings.Contains(fault.Message, "hunter22") {
			t.Error("a password stands in the message")
		}
	}
}

func TestSplitKeys(t *testing.T) {
	keys := settings.SplitKeys(" a-1, b-2,,a-1 ,")
	if len(keys) != 2 || keys[0].Reveal() != "a-1" || keys[1].Reveal() != "b-2" {
		t.Errorf("got %d keys", len(keys))
	}
}

func FuzzStatusCodes(f *testing.F) {
	for _, seed := range []string{"", "429", "500-599", "401, 403 ,429,500-504", "1", "599-100", "-", ",", "4294967295"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := settings.ParseStatusCodes(text)
		if err != nil {
			if len(err.Error()) > 300 {
				t.Errorf("an unreadably long message of %d bytes", len(err.Error()))
			}
			return
		}
		again, err := settings.ParseStatusCodes(set.String())
		if err != nil || again != set {
			t.Errorf("%q -> %q does not read back as the same set: %v", text, set.String(), err)
		}
	})
}
