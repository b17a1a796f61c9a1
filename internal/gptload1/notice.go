package gptload1

import (
	"fmt"
	"strings"
)

// Effect is what becomes of a value that does not come along as it stands.
type Effect string

// The effects.
const (
	Changed Effect = "changed"  // it comes along in another form
	LeftOut Effect = "left_out" // it does not come along
	Noted   Effect = "noted"    // it comes along and may behave differently
)

// Notice is one thing of a 1.x database that an operator should know before a plan is applied. It holds no secret.
type Notice struct {
	Group   string // name of the group in 1.x; empty for the system
	Field   string // column or setting of 1.x, such as header_rules, config.max_retries or api_keys
	Effect  Effect
	Message string // what is wrong with it, and what is done
}

func notice(field string, effect Effect, format string, args ...any) Notice {
	return Notice{Field: field, Effect: effect, Message: fmt.Sprintf(format, args...)}
}

// clip keeps a message about a huge value readable.
func clip(s string) string {
	const longest = 80
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return s
}

// plural is "1 key" or "2 keys".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
