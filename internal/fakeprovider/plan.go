package fakeprovider

import (
	"cmp"
	"net/http"
	"strconv"
)

// plan is what will happen to one call.
type plan struct {
	rule  string
	fault string // for the record
	then  Then
	said  *said // an error instead of an answer
	inner said  // the error told inside a 200
}

// plan decides what happens to a call: see the package comment for the order.
func (p *Provider) plan(a *ask) plan {
	now := p.opts.Now()
	rule, found := p.script.decide(a.call, now)
	pl := plan{rule: rule.Name, then: rule.Then}
	t := &telling{dialect: a.dialect, model: a.model, key: a.key, action: a.action, now: now}
	switch {
	case found:
	case p.opts.Strict:
		p.ledger.unexpected(a.call)
		if p.opts.Test != nil {
			p.opts.Test.Errorf("fakeprovider: no rule speaks for %s %s, key %s, model %q", a.call.Method, a.call.Path, tail(a.key), a.model)
		}
		pl.fault = "unexpected"
		pl.said = &said{status: http.StatusNotImplemented, message: "fakeprovider is strict and no rule speaks for this call"}
		return pl
	}
	pl.resolve(t)
	if !pl.decided() {
		if refusal := p.refusal(a, t); refusal != nil {
			pl.said, pl.fault = refusal, "refused as "+strconv.Itoa(refusal.status)
			return pl
		}
		pl.byCaller(a, t)
	}
	pl.then.Shape = pl.then.over(a.shape)
	pick(&pl.then.Delay, a.delay)
	inner, _ := faultNamed(cmp.Or(pl.then.Inner, "503"))
	pl.inner = inner.say(t)
	pl.fault = cmp.Or(pl.then.Fault, string(pl.then.Break), string(pl.then.Flaw))
	return pl
}

// resolve works the rule's fault into its other fields.
func (pl *plan) resolve(t *telling) {
	t.wait = cmp.Or(pl.then.RetryAfter, usualWait)
	f, _ := faultNamed(pl.then.Fault)
	if f.then != nil {
		f.then(&pl.then)
	}
	switch {
	case f.say != nil:
		s := f.say(t)
		pl.said = &s
	case pl.then.Status >= 400 && pl.then.Body == "" && pl.then.Handler == nil:
		pl.said = &said{status: pl.then.Status, message: "The script answers with status " + strconv.Itoa(pl.then.Status) + "."}
	}
	if pl.said != nil && pl.then.Status != 0 {
		pl.said.status = pl.then.Status
	}
}

// decided reports whether the call gets no healthy answer, so that nothing about it need be checked.
func (pl *plan) decided() bool {
	t := &pl.then
	return pl.said != nil || t.Break != BreakNone || t.Handler != nil || t.Body != "" || t.verbatimType != ""
}

// byCaller takes the fault that the caller asked for itself, where the rule left room.
func (pl *plan) byCaller(a *ask, t *telling) {
	if a.fault == "" || pl.then.Fault != "" || pl.then.Flaw != FlawNone {
		return
	}
	f, ok := faultNamed(a.fault)
	inner, innerOK := faultNamed(a.inner)
	if !ok || !innerOK || a.inner != "" && inner.say == nil {
		pl.said = &said{status: http.StatusBadRequest, message: "fakeprovider knows no fault " + a.fault + " " + a.inner + ": GET /_faults lists them"}
		return
	}
	pl.then.Fault, pl.then.Inner, pl.then.RetryAfter = f.name, a.inner, a.wait
	if a.shape.Size > 0 {
		pl.then.Size = a.shape.Size
	}
	pl.resolve(t)
	if after, err := strconv.Atoi(a.after); err == nil {
		pl.then.FlawAfter = after
	}
}

// refusal is what a provider says of a call that it will not serve: credentials, size, syntax, model, in this order.
func (p *Provider) refusal(a *ask, t *telling) *said {
	switch {
	case !p.validKey(a.key) && a.route != routeEcho:
		return a.unauthorized(t)
	case a.tooLarge():
		return told("413", t)
	case a.route == routeUnknown:
		return a.noSuchPath()
	case a.route == routeWrongMethod:
		return a.wrongMethod()
	case a.invalid:
		return a.notJSON()
	}
	if s := a.incomplete(); s != nil {
		return s
	}
	if a.model != "" && a.fault == "" && !p.knownModel(a.model) {
		return told("404-model", t)
	}
	return nil
}

// told is an error of the catalogue, whose name is known to stand there.
func told(name string, t *telling) *said {
	s := faultsByName[name].say(t)
	return &s
}

func (a *ask) unauthorized(t *telling) *said {
	gemini := a.dialect == dialectGemini || a.dialect == dialectGeminiCompat
	switch {
	case gemini && a.key == "":
		return &said{status: http.StatusForbidden, message: "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API."}
	case gemini:
		return told("400-key-invalid", t)
	case a.key != "":
		return told("401", t)
	case a.dialect == dialectAnthropic:
		return &said{status: http.StatusUnauthorized, message: "x-api-key header is required"}
	}
	return &said{status: http.StatusUnauthorized, message: "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."}
}

func (a *ask) noSuchPath() *said {
	s := &said{status: http.StatusNotFound, message: "Not Found"}
	switch a.dialect {
	case dialectGemini, dialectGeminiCompat:
		s.message = "Method not found."
	case dialectOpenAI, dialectResponses:
		s.message = "Invalid URL (" + a.r.Method + " " + a.call.Path + ")"
	case dialectAnthropic:
	}
	return s
}

func (a *ask) wrongMethod() *said {
	s := &said{status: http.StatusMethodNotAllowed, message: "Method Not Allowed"}
	if a.dialect == dialectOpenAI || a.dialect == dialectResponses {
		s.code = "method_not_supported"
		s.message = "Not allowed to " + a.r.Method + " on " + a.call.Path + "."
	}
	return s
}

func (a *ask) notJSON() *said {
	s := &said{status: http.StatusBadRequest, message: "The request body is not valid JSON"}
	switch a.dialect {
	case dialectGemini, dialectGeminiCompat:
		s.message = "Invalid JSON payload received. Unexpected end of string."
	case dialectOpenAI, dialectResponses:
		s.message = "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
	case dialectAnthropic:
	}
	return s
}

// mandatory are the members without which the providers answer 400.
var mandatory = map[route][]string{
	routeChat:             {"messages"},
	routeEmbeddings:       {"input"},
	routeSpeech:           {"input", "voice"},
	routeImages:           {"prompt"},
	routeMessages:         {"max_tokens", "messages"},
	routeCountTokens:      {"messages"},
	routeGenerate:         {"contents"},
	routeGeminiEmbed:      {"content"},
	routeGeminiBatchEmbed: {"requests"},
}

// incomplete says what the format misses in the request; nil when nothing.
func (a *ask) incomplete() *said {
	if a.r.Header.Get("X-Fake-Blind") != "" {
		return nil
	}
	bad := func(message, code string) *said {
		return &said{status: http.StatusBadRequest, message: message, code: code}
	}
	if a.dialect == dialectAnthropic && a.r.Header.Get("Anthropic-Version") == "" {
		return bad("anthropic-version: header is required", "")
	}
	if m := a.fields["model"]; m.Exists() && m.Type.String() != "String" && a.route.needsModel() {
		if a.dialect == dialectAnthropic {
			return bad("model: Input should be a valid string", "")
		}
		return bad("Invalid type for 'model': expected a string, but got "+m.Type.String()+" instead.", "invalid_type")
	}
	if a.route.needsModel() && a.model == "" {
		if a.dialect == dialectAnthropic {
			return bad("model: Field required", "")
		}
		return bad("you must provide a model parameter", "")
	}
	for _, name := range mandatory[a.route] {
		if _, ok := a.fields[name]; ok {
			continue
		}
		switch a.dialect {
		case dialectAnthropic:
			return bad(name+": Field required", "")
		case dialectGemini:
			return bad("* GenerateContentRequest."+name+": "+name+" is not specified\n", "")
		case dialectOpenAI, dialectResponses, dialectGeminiCompat:
			return bad("Missing required parameter: '"+name+"'.", "missing_required_parameter")
		}
	}
	return nil
}
