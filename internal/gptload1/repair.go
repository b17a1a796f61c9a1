package gptload1

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gpt-load/internal/fleet"
)

// repairRounds bounds how often a group is judged again: taking entries out can leave a list empty, and that is all.
const repairRounds = 4

// repair takes out of the group what fleet.ValidateGroup refuses, and says so. What a group cannot be without leaves it out.
func (c *conversion) repair(others []fleet.Group) {
	rules := fleet.GroupRules{Groups: others, CheckParamPath: checkParamPath}
	for range repairRounds {
		faults := fleet.ValidateGroup(c.group, rules)
		if len(faults) == 0 || c.leftOut {
			return
		}
		c.repairAll(faults)
	}
	if faults := fleet.ValidateGroup(c.group, rules); len(faults) > 0 && !c.leftOut {
		c.leaveOut(sourceColumn(faults[0].Field), "%s; the group is left out", faults[0].Message)
	}
}

func (c *conversion) repairAll(faults []fleet.FieldError) {
	refused := make(map[string][]int) // entries by list, ascending, each once
	for _, f := range faults {
		at := placeOf(f.Field)
		if at.index < 0 {
			c.repairField(at.list, f.Message)
			continue
		}
		if indexes := refused[at.list]; len(indexes) > 0 && indexes[len(indexes)-1] == at.index {
			continue
		}
		refused[at.list] = append(refused[at.list], at.index)
		c.say(notice(sourceColumn(at.list), LeftOut, "%s: %s; it is left out", c.entry(at), f.Message))
	}
	g := &c.group
	g.Upstreams, c.addresses = without(g.Upstreams, refused["upstreams"]), without(c.addresses, refused["upstreams"])
	g.ProxyKeys = without(g.ProxyKeys, refused["proxy_keys"])
	g.ParamOverrides = without(g.ParamOverrides, refused["param_overrides"])
	g.HeaderRules = without(g.HeaderRules, refused["header_rules"])
	g.ModelRedirects = without(g.ModelRedirects, refused["model_redirects"])
	g.Members = without(g.Members, refused["members"])
}

// place is where a fault of validation stands: a field of the group, or an entry of one of its lists.
type place struct {
	list  string
	index int // -1 for a field as a whole
}

// placeOf reads header_rules[3].value as the entry 3 of header_rules, and validation.path as it is.
func placeOf(field string) place {
	list, rest, isEntry := strings.Cut(field, "[")
	index, _, closed := strings.Cut(rest, "]")
	if n, err := strconv.Atoi(index); isEntry && closed && err == nil {
		return place{list: list, index: n}
	}
	return place{list: field, index: -1}
}

// entry names one entry of a list for people, without secrets.
func (c *conversion) entry(at place) string {
	g := c.group
	switch at.list {
	case "upstreams":
		return fmt.Sprintf("address %d", c.addresses[at.index])
	case "param_overrides":
		return fmt.Sprintf("the override of %q", clip(g.ParamOverrides[at.index].Path))
	case "header_rules":
		return fmt.Sprintf("the rule for %q", clip(g.HeaderRules[at.index].Name))
	case "model_redirects":
		return fmt.Sprintf("the redirect of %q", clip(g.ModelRedirects[at.index].From))
	case "members":
		return fmt.Sprintf("the member with id %d", g.Members[at.index].GroupID)
	}
	return fmt.Sprintf("key %d", at.index+1) // of proxy_keys
}

func without[T any](list []T, indexes []int) []T {
	for _, i := range slices.Backward(indexes) {
		list = slices.Delete(list, i, i+1)
	}
	return list
}

// repairField brings a whole field into its bounds.
func (c *conversion) repairField(field, message string) {
	g, column, before := &c.group, sourceColumn(field), len(c.notices)
	switch field {
	case "display_name":
		g.DisplayName = cleanText(g.DisplayName, fleet.MaxDisplayName)
	case "description":
		g.Description = cleanText(g.Description, fleet.MaxDescription)
	case "sort":
		g.Sort = 0
	case "proxy_keys":
		g.ProxyKeys = cut(g.ProxyKeys, fleet.MaxGroupProxyKeys)
	case "param_overrides":
		g.ParamOverrides = cut(g.ParamOverrides, fleet.MaxParamOverrides)
	case "header_rules":
		g.HeaderRules = cut(g.HeaderRules, fleet.MaxHeaderRules)
	case "model_redirects":
		g.ModelRedirects = cut(g.ModelRedirects, fleet.MaxModelRedirects)
	case "members":
		g.Members = cut(g.Members, fleet.MaxMembers)
	case "model_redirect_strict":
		// Every redirect was refused just now: being strict about none would refuse every model.
		g.ModelRedirectStrict = false
	case "validation.model":
		g.Validation.Model = ""
		c.say(notice(column, LeftOut, "%s; keys are tested with the channel's own model", message))
	case "validation.path":
		g.Validation.Path = ""
		c.say(notice(column, LeftOut, "%s; keys are tested at the channel's own path", message))
	case "upstreams":
		if len(g.Upstreams) > fleet.MaxUpstreams {
			g.Upstreams = cut(g.Upstreams, fleet.MaxUpstreams)
			break
		}
		c.leaveOut(column, "%s; the group is left out", message)
	default: // name, kind and channel: there is no group without them
		c.leaveOut(column, "%s; the group is left out", message)
	}
	if len(c.notices) == before {
		c.say(notice(column, Changed, "%s; it is brought into the bounds", message))
	}
}

func cut[T any](list []T, most int) []T { return list[:min(len(list), most)] }

// cleanText keeps the first characters that a text for people may hold.
func cleanText(text string, most int) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	for utf8.RuneCountInString(clean) > most {
		clean = string([]rune(clean)[:most])
	}
	return clean
}

// sourceColumn is the column of 1.x that a field of ours comes from.
func sourceColumn(field string) string {
	list, _, _ := strings.Cut(field, "[")
	switch list {
	case "channel":
		return "channel_type"
	case "kind":
		return "group_type"
	case "model_redirects":
		return "model_redirect_rules"
	case "members":
		return membersTable
	case "validation.model":
		return "test_model"
	case "validation.path":
		return "validation_endpoint"
	}
	return list
}
