package fakeprovider

import "strconv"

// inBody is an error as the JSON body of a 200.
func (d *delivery) inBody(flaw Flaw) []byte {
	a, inner := d.a, d.pl.inner
	switch {
	case flaw == FlawRouterError:
		return []byte(`{"error":` + inner.routerObject() + `,"user_id":"user_fake"}`)
	case a.dialect == dialectResponses && flaw == FlawFailed:
		return []byte(a.responseWith("failed", inner.responseError(), "[]", "null"))
	}
	_, body := inner.body(a.dialect, a.requestID())
	return body
}

// responseError is the error member of a failed response.
func (s said) responseError() string {
	code := s.code
	if code == "" {
		code = "server_error"
	}
	return `{"code":` + quote(code) + `,"message":` + quote(s.message) + `}`
}

// inStream is an error as an event of a 200 stream, in the words of the format.
func (d *delivery) inStream() []byte {
	a, inner, t := d.a, d.pl.inner, &d.pl.then
	if t.Flaw == FlawRouterError && a.dialect == dialectOpenAI {
		return []byte(`data: {"id":` + quote(a.id("gen-fake")) + `,"object":"chat.completion.chunk","created":` + a.created() + `,"model":` + quote(a.model) +
			`,"provider":"FakeProvider","error":` + inner.routerObject() + `,"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}` + "\n\n")
	}
	object := inner.object(a.dialect)
	switch a.dialect {
	case dialectAnthropic:
		return named("error", `{"type":"error","error":`+object+`,"request_id":`+quote(a.requestID())+`}`)
	case dialectResponses:
		number := strconv.Itoa(max(t.FlawAfter, 0) + 4)
		if t.FlawAfter < 0 {
			number = "0"
		}
		if t.Flaw == FlawFailed {
			return named("response.failed", `{"type":"response.failed","sequence_number":`+number+`,"response":`+
				a.responseWith("failed", inner.responseError(), "[]", "null")+`}`)
		}
		return named("error", `{"type":"error","code":`+nullable(inner.code)+`,"message":`+quote(inner.message)+`,"param":null,"sequence_number":`+number+`}`)
	case dialectGemini:
		return d.geminiInStream(object)
	case dialectOpenAI, dialectGeminiCompat:
	}
	return []byte(`data: {"error":` + object + `}` + "\n\n")
}

func (d *delivery) geminiInStream(object string) []byte {
	if d.w.Header().Get("Content-Type") != googleJSON {
		return []byte(`data: {"error":` + object + "}\r\n\r\n")
	}
	opening := "" // behind the bracket of the head
	switch after := d.pl.then.FlawAfter; {
	case after < 0:
		opening = "["
	case after > 0:
		opening = ",\r\n"
	}
	return []byte(opening + `{"error":` + object + "}\n]\n")
}
