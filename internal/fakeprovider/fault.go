package fakeprovider

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// FaultInfo describes one name of the catalogue.
type FaultInfo struct {
	Name  string
	Means string
}

// fault is one line of the catalogue: an error that is said, or a change of what happens, or both.
type fault struct {
	name  string
	means string
	say   func(*telling) said
	then  func(*Then) // sets what the rule has left open
}

// Faults lists the catalogue in its order.
func Faults() []FaultInfo {
	out := make([]FaultInfo, len(catalogue))
	for i, f := range catalogue {
		out[i] = FaultInfo{f.name, f.means}
	}
	return out
}

var faultsByName = func() map[string]fault {
	byName := make(map[string]fault, len(catalogue))
	for _, f := range catalogue {
		byName[f.name] = f
	}
	return byName
}()

// faultNamed finds a fault. The empty name is no fault, and known.
func faultNamed(name string) (fault, bool) {
	if name == "" {
		return fault{}, true
	}
	f, ok := faultsByName[name]
	return f, ok
}

func faultNames() string {
	names := make([]string, 0, len(catalogue))
	for _, f := range catalogue {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// everybody says the same in each dialect's own shape.
func everybody(s said) func(*telling) said {
	return func(t *telling) said { return t.fill(s.copy()) }
}

// each says what the provider of the dialect says.
func each(openAI, anthropic, gemini said) func(*telling) said {
	return func(t *telling) said {
		switch t.dialect {
		case dialectAnthropic:
			return t.fill(anthropic.copy())
		case dialectGemini, dialectGeminiCompat:
			return t.fill(gemini.copy())
		case dialectOpenAI, dialectResponses:
		}
		return t.fill(openAI.copy())
	}
}

func (s said) copy() said {
	s.details, s.header = slices.Clone(s.details), slices.Clone(s.header)
	return s
}

// page is an HTML error of an edge in front of the provider.
func page(status int, title, text string) func(*telling) said {
	return func(*telling) said {
		return said{
			status:       status,
			message:      text,
			verbatimType: "text/html; charset=UTF-8",
			verbatim: "<!DOCTYPE html>\n<html lang=\"en-US\"><head><title>" + title + "</title></head>\n<body><h1>" +
				title + "</h1><p>" + text + "</p></body></html>\n",
			header: [][2]string{{"Server", "cloudflare"}, {"Cf-Ray", "8f0000000000fake-FRA"}},
		}
	}
}

// usualWait is what a 429 hints at unless a rule says otherwise: the figure of OpenAI's documented example.
const usualWait = 20 * time.Second

// limited is the 429 of each provider, with hints added where each puts them.
func limited(hint func(*telling, *said)) func(*telling) said {
	say := each(
		said{status: 429, kind: "requests", code: "rate_limit_exceeded", message: "Rate limit reached for {model} in organization org-fake on requests per min (RPM): Limit 3, Used 3, Requested 1. Visit https://platform.openai.com/account/rate-limits to learn more."},
		said{status: 429, message: "This request would exceed your organization's rate limit of 50 requests per minute. For details, refer to: https://docs.claude.com/en/api/rate-limits."},
		said{status: 429, message: "Resource has been exhausted (e.g. check quota)."},
	)
	return func(t *telling) said {
		s := say(t)
		if hint != nil {
			hint(t, &s)
		}
		return s
	}
}

func (s *said) set(name, value string) {
	s.header = append(s.header, [2]string{http.CanonicalHeaderKey(name), value})
}

func (t *telling) reset() time.Time { return t.now.Add(t.wait).UTC() }
