package proxy

import (
	"bytes"
	"net/http"
	"strings"

	"gpt-load/internal/jsonbody"
	"gpt-load/internal/provider"
	"gpt-load/internal/snapshot"
)

// prepared is a request as one group sends it, key and address apart. It is made once for each group that a
// request tries.
type prepared struct {
	group       *snapshot.Group
	path, query string
	data        []byte
	model       string // as sent; cool-downs go by it
	modelList   bool   // the answer is a model list that the group's redirects change
	// refusal is set when the group does not take this request.
	refusal *provider.GatewayError
}

// modelFor says which model the group sends for this request, or why it does not take it. It reads only what is
// known of the request already, but for the validity of its body, which is found once.
func (a *ask) modelFor(g *snapshot.Group) (send string, refusal *provider.GatewayError) {
	if !g.ReadsModels() || a.modelList(g) {
		return a.model, nil
	}
	if g.ModelRedirectStrict {
		why := a.unsure
		switch {
		case why != "":
		case provider.NamesDeployment(g.Channel, a.path):
			why = "its path names a deployment, whose model nobody here knows"
		case a.otherCase():
			why = "the body has a member that differs from model only in case, which some servers take for it"
		case a.where == modelInJSON && !a.valid():
			why = "the body is not valid JSON"
		case a.where == modelNowhere && a.method == http.MethodPost && provider.FormatOf(g.Channel, a.path) == provider.FormatGemini:
			why = "the path names none in a form known here"
		}
		if why != "" {
			return "", refusalOf(http.StatusBadRequest, "model_unknown", "the group serves only listed models and cannot tell this request's: "+why)
		}
	}
	if a.unsure != "" || a.where == modelNowhere {
		return a.model, nil // nothing to redirect for certain: the request goes out as it came
	}
	send, allowed := g.Redirect(a.model)
	if !allowed {
		return "", refusalOf(http.StatusNotFound, "model_not_found", "the group does not serve this model (model_redirect_strict); its model list names those it serves")
	}
	return send, nil
}

// modelList reports whether the answer is a model list that the group's redirects change.
func (a *ask) modelList(g *snapshot.Group) bool {
	return len(g.ModelRedirects) > 0 && provider.IsModelList(g.Channel, a.method, a.path)
}

// valid reports whether the body is valid JSON.
func (a *ask) valid() bool {
	if !a.validated {
		a.validated, a.isValid = true, jsonbody.Valid(a.body.data)
	}
	return a.isValid
}

// otherCase reports whether the body has a member whose name is model but for its case. Servers written in Go take such a
// member for model (encoding/json), so a list that looks at model alone would let any model pass.
func (a *ask) otherCase() bool {
	if !a.json || a.where == modelInPath {
		return false
	}
	if !a.caseSought {
		a.caseSought = true
		for name := range jsonbody.Parse(a.body.data).Members() {
			text, ok := name.Bytes()
			if ok && bytes.EqualFold(text, []byte("model")) && string(text) != "model" {
				a.caseFound = true
			}
		}
	}
	return a.caseFound
}

// prepare applies the group's redirects and overrides.
func (a *ask) prepare(g *snapshot.Group) *prepared {
	p := &prepared{group: g, path: a.path, query: a.query, data: a.body.data, modelList: a.modelList(g)}
	if p.model, p.refusal = a.modelFor(g); p.refusal != nil || p.modelList {
		return p
	}
	if p.model != a.model {
		a.redirect(p)
	}
	if len(g.Overrides) > 0 {
		a.override(p)
	}
	return p
}

// redirect puts in the model that the group sends.
func (a *ask) redirect(p *prepared) {
	switch a.where {
	case modelInPath:
		p.path = provider.ReplacePathModel(a.path, a.span, p.model)
		if a.facts.ModelIsString { // Gemini's embedContent repeats the model in its body, as models/{model}
			p.data = jsonbody.ReplaceModel(a.body.data, a.facts, strings.Replace(a.facts.Model, a.model, p.model, 1))
		}
	case modelInJSON:
		p.data = jsonbody.ReplaceModel(a.body.data, a.facts, p.model)
	case modelInForm:
		p.data = spliceAll(a.body.data, a.form, p.model)
	}
}

// override applies the group's parameter overrides to a JSON object; other bodies pass as they are.
func (a *ask) override(p *prepared) {
	if !a.json {
		return
	}
	why := a.unsure
	if a.body.whole && a.facts.Object {
		edited, err := jsonbody.Apply(p.data, p.group.Overrides)
		if err == nil {
			p.data = edited
			return
		}
		why = err.Error()
	}
	p.refusal = refusalOf(http.StatusBadRequest, "override_impossible", "the group's param_overrides cannot be applied: "+why)
}

func refusalOf(status int, code, message string) *provider.GatewayError {
	return &provider.GatewayError{Status: status, Code: code, Message: message}
}

// spliceAll puts text into every span of data, which is left as it is.
func spliceAll(data []byte, spans []jsonbody.Span, text string) []byte {
	out := make([]byte, 0, len(data)+len(spans)*len(text))
	at := 0
	for _, span := range spans {
		out = append(out, data[at:span.Start]...)
		out = append(out, text...)
		at = span.End
	}
	return append(out, data[at:]...)
}
