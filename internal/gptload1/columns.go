package gptload1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gpt-load/internal/fleet"
)

const (
	// maxColumnBytes is the longest JSON column that is read.
	maxColumnBytes = 1 << 20
	// maxEntries is how many of its entries are read: twice what the largest list of a group may hold, so that a column full
	// of rubbish does not become as many notices.
	maxEntries = 2 * fleet.MaxGroupProxyKeys
)

var (
	errNotObject = errors.New("is not a JSON object")
	errNotList   = errors.New("is not a JSON list")
	errTooLong   = fmt.Errorf("has more than %d bytes", maxColumnBytes)
	errTooMany   = fmt.Errorf("has more than %d entries", maxEntries)
)

// member is one member of a JSON object, its value as it was written.
type member struct {
	name  string
	value json.RawMessage
}

// parseObject gives the members of an object in their order, of repeated ones the last, as 1.x reads them. An empty
// column and null have none. The errors are ends of a sentence about the column.
func parseObject(column string) ([]member, error) {
	decoder, empty, err := begin(column, '{', errNotObject)
	if err != nil || empty {
		return nil, err
	}
	var members []member
	at := make(map[string]int)
	for decoder.More() {
		if len(members) == maxEntries {
			return nil, errTooMany
		}
		name, err := decoder.Token()
		if err != nil {
			return nil, errNotObject
		}
		m := member{name: name.(string)} // the decoder refuses any other token here
		if err := decoder.Decode(&m.value); err != nil {
			return nil, errNotObject
		}
		if i, twice := at[m.name]; twice {
			members[i] = m
			continue
		}
		at[m.name] = len(members)
		members = append(members, m)
	}
	return members, end(decoder, errNotObject)
}

// parseList gives the elements of a list. An empty column and null have none.
func parseList(column string) ([]json.RawMessage, error) {
	decoder, empty, err := begin(column, '[', errNotList)
	if err != nil || empty {
		return nil, err
	}
	var elements []json.RawMessage
	for decoder.More() {
		if len(elements) == maxEntries {
			return nil, errTooMany
		}
		var e json.RawMessage
		if err := decoder.Decode(&e); err != nil {
			return nil, errNotList
		}
		elements = append(elements, e)
	}
	return elements, end(decoder, errNotList)
}

func begin(column string, open json.Delim, wrong error) (decoder *json.Decoder, empty bool, err error) {
	if len(column) > maxColumnBytes {
		return nil, false, errTooLong
	}
	if text := strings.TrimSpace(column); text == "" || text == "null" {
		return nil, true, nil
	}
	decoder = json.NewDecoder(strings.NewReader(column))
	if token, err := decoder.Token(); err != nil || token != open {
		return nil, false, wrong
	}
	return decoder, false, nil
}

func end(decoder *json.Decoder, wrong error) error {
	if _, err := decoder.Token(); err != nil { // the closing bracket
		return wrong
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return wrong
	}
	return nil
}

// scalar is the text of a JSON string, number or boolean; false for anything else.
func scalar(raw json.RawMessage) (string, bool) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return "", false
	}
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		if f, err := v.Float64(); err == nil { // 30.0 and 3e1 are 30 to 1.x
			if n, ok := whole(f); ok {
				return strconv.FormatInt(n, 10), true
			}
		}
		return v.String(), true
	}
	return "", false
}

func isNull(raw json.RawMessage) bool { return raw == nil || string(raw) == "null" }

// parseUpstreams reads the column upstreams: a list of {"url", "weight"}. numbers are the places of the result in it,
// counted from 1: an address cannot be quoted, because it may hold a password.
func parseUpstreams(column string) (upstreams []fleet.Upstream, numbers []int, notices []Notice) {
	const field = "upstreams"
	elements, err := parseList(column)
	if err != nil {
		return nil, nil, []Notice{notice(field, LeftOut, "the column %s", err)}
	}
	var weights []int64
	for i, e := range elements {
		var u struct{ URL, Weight json.RawMessage }
		text, isText := "", false
		if json.Unmarshal(e, &u) == nil {
			text, isText = scalar(u.URL)
		}
		if !isText {
			notices = append(notices, notice(field, LeftOut, "address %d has no url; it is left out", i+1))
			continue
		}
		address, changes := plainURL(text)
		for _, c := range changes {
			notices = append(notices, notice(field, Changed, "address %d %s", i+1, c))
		}
		weight := int64(0)
		if w, ok := scalar(u.Weight); ok {
			f, _ := strconv.ParseFloat(w, 64)
			weight = int64(min(max(f, 0), math.MaxInt32))
		}
		if at := slices.IndexFunc(upstreams, func(other fleet.Upstream) bool { return other.URL == address }); at >= 0 {
			weights[at] += weight
			notices = append(notices, notice(field, Changed, "address %d stands there already; the first one gets both weights", i+1))
			continue
		}
		upstreams, numbers, weights = append(upstreams, fleet.Upstream{URL: address}), append(numbers, i+1), append(weights, weight)
	}
	return upstreams, numbers, append(notices, setWeights(upstreams, weights)...)
}

// plainURL takes out of an upstream address what 1.x did not send, or what has no place in an address here.
func plainURL(text string) (address string, changes []string) {
	text = strings.TrimSpace(text)
	u, err := url.Parse(text)
	if err != nil {
		return text, nil // validation says what is wrong with it
	}
	if u.User != nil {
		u.User = nil
		changes = append(changes, "held a user or password, which has no place in an address: it is taken out; "+
			"if the upstream needs it, add a header rule for Authorization before requests go there")
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(text, "#") {
		u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
		changes = append(changes, "had a query or fragment, which 1.x did not send either; it is taken out")
	}
	if len(changes) > 0 {
		text = u.String()
	}
	return strings.TrimRight(text, "/"), changes // 1.x joins paths without the slash as well
}

// setWeights brings weights into the bounds and keeps their proportions.
func setWeights(upstreams []fleet.Upstream, weights []int64) []Notice {
	if len(weights) == 0 {
		return nil
	}
	highest := slices.Max(weights)
	var notices []Notice
	switch {
	case highest > fleet.MaxWeight:
		notices = append(notices, notice("upstreams", Changed, "a weight of %d is over the limit of %d; all are scaled down alike", highest, fleet.MaxWeight))
	case highest == 0:
		notices = append(notices, notice("upstreams", Changed, "no address has a weight above 0, so none would serve; all get 1"))
	}
	for i, w := range weights {
		switch {
		case highest == 0:
			w = 1
		case highest > fleet.MaxWeight && w > 0:
			w = max(1, (w*fleet.MaxWeight+highest/2)/highest)
		}
		upstreams[i].Weight = int(w)
	}
	return notices
}

// parseHeaderRules reads the column header_rules: a list of {"key", "value", "action"}.
func parseHeaderRules(column string) (rules []fleet.HeaderRule, notices []Notice) {
	const field = "header_rules"
	elements, err := parseList(column)
	if err != nil {
		return nil, []Notice{notice(field, LeftOut, "the column %s; it is left out", err)}
	}
	for i, e := range elements {
		var h struct{ Key, Value, Action json.RawMessage }
		var name, value, action string
		if json.Unmarshal(e, &h) == nil {
			name, _ = scalar(h.Key)
			value, _ = scalar(h.Value)
			action, _ = scalar(h.Action)
		}
		rule := fleet.HeaderRule{Name: strings.TrimSpace(name), Action: fleet.HeaderAction(action), Value: value}
		if rule.Name == "" || rule.Action != fleet.HeaderSet && rule.Action != fleet.HeaderRemove {
			notices = append(notices, notice(field, LeftOut, "rule %d needs a key and the action set or remove, and has no effect in 1.x; it is left out", i+1))
			continue
		}
		if rule.Action == fleet.HeaderRemove {
			rule.Value = "" // it never had a meaning
		}
		if at := slices.IndexFunc(rules, func(r fleet.HeaderRule) bool { return strings.EqualFold(r.Name, rule.Name) }); at >= 0 {
			rules[at] = rule
			notices = append(notices, notice(field, Changed, "there are several rules for %s; the last one counts, as in 1.x", clip(rule.Name)))
			continue
		}
		rules = append(rules, rule)
	}
	return rules, notices
}

// pathEscaper makes the name of a member a path of one step.
var pathEscaper = strings.NewReplacer(`\`, `\\`, `.`, `\.`)

// parseParamOverrides reads the column param_overrides: an object whose members replace those of a request body.
func parseParamOverrides(column string) (overrides []fleet.ParamOverride, notices []Notice) {
	members, err := parseObject(column)
	if err != nil {
		return nil, []Notice{notice("param_overrides", LeftOut, "the column %s; it is left out", err)}
	}
	for _, m := range members {
		// null stays null: 1.x sends it, it does not remove the member.
		overrides = append(overrides, fleet.ParamOverride{Path: pathEscaper.Replace(m.name), Value: m.value})
	}
	return overrides, nil
}

// parseRedirects reads the column model_redirect_rules: an object from the model asked to the model sent.
func parseRedirects(column string) (redirects []fleet.ModelRedirect, notices []Notice) {
	const field = "model_redirect_rules"
	members, err := parseObject(column)
	if err != nil {
		return nil, []Notice{notice(field, LeftOut, "the column %s; it is left out", err)}
	}
	for _, m := range members {
		var to string
		if isNull(m.value) || json.Unmarshal(m.value, &to) != nil {
			notices = append(notices, notice(field, LeftOut, "the redirect of %q does not lead to a name, and has no effect in 1.x; it is left out", clip(m.name)))
			continue
		}
		redirects = append(redirects, fleet.ModelRedirect{From: m.name, To: to})
	}
	return redirects, notices
}
