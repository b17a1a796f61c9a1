package fakeprovider

import (
	"net/http"
	"strings"
)

// dialect is whose answers and errors a request gets.
type dialect uint8

const (
	dialectOpenAI dialect = iota
	dialectResponses
	dialectAnthropic
	dialectGemini
	// dialectGeminiCompat is Gemini's OpenAI-compatible API: OpenAI answers, Gemini errors wrapped in an array.
	dialectGeminiCompat
)

// route is what a path asks for.
type route uint8

const (
	routeUnknown route = iota
	routeEcho
	routeWrongMethod
	routeChat
	routeCompletions
	routeResponses
	routeResponseGet
	routeEmbeddings
	routeModerations
	routeModels
	routeModel
	routeImages
	routeImageEdits
	routeSpeech
	routeTranscription
	routeFileUpload
	routeFiles
	routeFile
	routeFileContent
	routeMessages
	routeCountTokens
	routeGenerate
	routeGeminiCount
	routeGeminiEmbed
	routeGeminiBatchEmbed
)

// readsJSON reports whether the route's body must be a JSON object.
func (rt route) readsJSON() bool {
	switch rt { //nolint:exhaustive // those that are not listed read none
	case routeChat, routeCompletions, routeResponses, routeEmbeddings, routeModerations, routeImages, routeSpeech,
		routeMessages, routeCountTokens, routeGenerate, routeGeminiCount, routeGeminiEmbed, routeGeminiBatchEmbed:
		return true
	}
	return false
}

// readsForm reports whether the route's body is a multipart form.
func (rt route) readsForm() bool {
	return rt == routeImageEdits || rt == routeTranscription || rt == routeFileUpload
}

// needsModel reports whether a call without a model is a mistake.
func (rt route) needsModel() bool {
	switch rt { //nolint:exhaustive // the others name their model in the path, or have none
	case routeChat, routeCompletions, routeResponses, routeEmbeddings, routeSpeech, routeTranscription, routeMessages, routeCountTokens:
		return true
	}
	return false
}

// openAIRoutes are the paths below /v1, by method. A path ending in '/' takes one more segment, an id.
var openAIRoutes = map[string]map[string]route{
	"/chat/completions":     {http.MethodPost: routeChat},
	"/completions":          {http.MethodPost: routeCompletions},
	"/responses":            {http.MethodPost: routeResponses},
	"/responses/":           {http.MethodGet: routeResponseGet, http.MethodDelete: routeResponseGet},
	"/embeddings":           {http.MethodPost: routeEmbeddings},
	"/moderations":          {http.MethodPost: routeModerations},
	"/models":               {http.MethodGet: routeModels},
	"/models/":              {http.MethodGet: routeModel},
	"/images/generations":   {http.MethodPost: routeImages},
	"/images/edits":         {http.MethodPost: routeImageEdits},
	"/images/variations":    {http.MethodPost: routeImageEdits},
	"/audio/speech":         {http.MethodPost: routeSpeech},
	"/audio/transcriptions": {http.MethodPost: routeTranscription},
	"/audio/translations":   {http.MethodPost: routeTranscription},
	"/files":                {http.MethodPost: routeFileUpload, http.MethodGet: routeFiles},
	"/files/":               {http.MethodGet: routeFile, http.MethodDelete: routeFile},
}

var anthropicRoutes = map[string]map[string]route{
	"/messages":              {http.MethodPost: routeMessages},
	"/messages/count_tokens": {http.MethodPost: routeCountTokens},
	"/models":                {http.MethodGet: routeModels},
	"/models/":               {http.MethodGet: routeModel},
}

var geminiActions = map[string]route{
	"generateContent":       routeGenerate,
	"streamGenerateContent": routeGenerate,
	"countTokens":           routeGeminiCount,
	"embedContent":          routeGeminiEmbed,
	"batchEmbedContents":    routeGeminiBatchEmbed,
}

// classify finds dialect, route, key and (where the path names it) model. It takes the /at/NAME prefix off the
// request's path.
func (a *ask) classify() {
	path := a.r.URL.Path
	if rest, ok := strings.CutPrefix(path, "/at/"); ok {
		name, rest, _ := strings.Cut(rest, "/")
		a.call.Upstream, path = name, "/"+rest
		a.r.URL.Path, a.r.URL.RawPath = path, ""
	}
	switch {
	case path == "/echo" || strings.HasPrefix(path, "/echo/"):
		a.route = routeEcho
		a.dialect = dialectByHeader(a.r)
	case strings.HasPrefix(path, "/v1beta/openai/"):
		a.dialect = dialectGeminiCompat
		a.look(openAIRoutes, strings.TrimPrefix(path, "/v1beta/openai"))
	case strings.HasPrefix(path, "/openai/deployments/"): // Azure OpenAI
		deployment, rest, _ := strings.Cut(strings.TrimPrefix(path, "/openai/deployments/"), "/")
		a.model = deployment
		a.look(openAIRoutes, "/"+rest)
	case a.isGemini(path):
		a.dialect = dialectGemini
		a.lookGemini(path)
	case strings.HasPrefix(path, "/v1/messages"), strings.HasPrefix(path, "/v1/models") && a.r.Header.Get("Anthropic-Version") != "":
		a.dialect = dialectAnthropic
		a.look(anthropicRoutes, strings.TrimPrefix(path, "/v1"))
	case strings.HasPrefix(path, "/v1/"), strings.HasPrefix(path, "/openai/v1/"):
		a.look(openAIRoutes, strings.TrimPrefix(strings.TrimPrefix(path, "/openai"), "/v1"))
		if a.route == routeResponses || a.route == routeResponseGet {
			a.dialect = dialectResponses
		}
	default:
		a.dialect = dialectByHeader(a.r)
	}
	a.key = nativeKey(a.dialect, a.r)
}

// dialectByHeader guesses whose client asks for a path that nobody knows.
func dialectByHeader(r *http.Request) dialect {
	switch {
	case r.Header.Get("Anthropic-Version") != "":
		return dialectAnthropic
	case r.Header.Get("X-Goog-Api-Key") != "" || r.URL.Query().Has("key"):
		return dialectGemini
	}
	return dialectOpenAI
}

func (a *ask) isGemini(path string) bool {
	if strings.HasPrefix(path, "/v1beta") || strings.HasPrefix(path, "/v1alpha/") {
		return true
	}
	rest, ok := strings.CutPrefix(path, "/v1/")
	if !ok || !strings.HasPrefix(rest, "models") && !strings.HasPrefix(rest, "tunedModels") {
		return false
	}
	return strings.Contains(rest, ":") && a.r.Method == http.MethodPost ||
		a.r.Header.Get("X-Goog-Api-Key") != "" || a.r.URL.Query().Has("key")
}

func (a *ask) look(routes map[string]map[string]route, path string) {
	methods, ok := routes[path]
	if !ok {
		if id, isContent := strings.CutSuffix(path, "/content"); isContent && strings.HasPrefix(id, "/files/") {
			a.route, a.action = routeFileContent, strings.TrimPrefix(id, "/files/")
			return
		}
		cut := strings.Index(strings.TrimPrefix(path, "/"), "/") + 2 // behind the second slash
		if cut < 2 || cut >= len(path) {
			return
		}
		if methods, ok = routes[path[:cut]]; !ok {
			return
		}
		a.action = path[cut:]
		if path[:cut] == "/models/" {
			a.model = a.action // model names may hold slashes
		}
	}
	if a.route, ok = methods[a.r.Method]; !ok {
		a.route = routeWrongMethod
	}
}

func (a *ask) lookGemini(path string) {
	_, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/") // behind the version
	collection, name, _ := strings.Cut(rest, "/")
	if collection != "models" && collection != "tunedModels" {
		return
	}
	if name == "" {
		if a.r.Method == http.MethodGet {
			a.route = routeModels
		}
		return
	}
	colon := strings.LastIndexByte(name, ':')
	if colon < 0 {
		if a.r.Method == http.MethodGet {
			a.route, a.model = routeModel, name
		}
		return
	}
	a.model, a.action = name[:colon], name[colon+1:]
	if a.r.Method == http.MethodPost {
		a.route = geminiActions[a.action]
	}
}
