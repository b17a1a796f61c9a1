package fakeprovider

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"iter"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
)

// formPart is one field of a multipart form.
type formPart struct {
	name, filename string
	data           []byte
}

// formParts walks through a multipart body; it ends at the first part that is broken.
func formParts(contentType string, body []byte) iter.Seq[formPart] {
	return func(yield func(formPart) bool) {
		_, parameters, err := mime.ParseMediaType(contentType)
		if err != nil || parameters["boundary"] == "" {
			return
		}
		reader := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
		for {
			part, err := reader.NextPart()
			if err != nil {
				return
			}
			data, err := io.ReadAll(part) // bounded by the body, which is in memory
			if err != nil || !yield(formPart{part.FormName(), part.FileName(), data}) {
				return
			}
		}
	}
}

// upload is the file of a form, and its purpose.
func (a *ask) upload() (file formPart, purpose string, ok bool) {
	for part := range formParts(a.r.Header.Get("Content-Type"), a.body) {
		switch {
		case part.filename != "":
			file, ok = part, true
		case part.name == "purpose":
			purpose = string(part.data)
		}
	}
	return file, purpose, ok
}

func noFile() answer {
	s := said{status: http.StatusBadRequest, message: "Missing required parameter: 'file'.", code: "missing_required_parameter"}
	contentType, body := s.body(dialectOpenAI, "")
	return answer{status: s.status, contentType: contentType, before: body}
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// transcription says which file came in, so that a test sees that every byte did.
func (a *ask) transcription() answer {
	file, _, ok := a.upload()
	if !ok {
		return noFile()
	}
	text := file.filename + ", " + strconv.Itoa(len(file.data)) + " bytes, sha256 " + digest(file.data)
	return jsonAnswer(`{"text":` + quote(text) + `,"usage":{"type":"duration","seconds":1},"bytes":` + strconv.Itoa(len(file.data)) + `,"sha256":"` + digest(file.data) + `"}`)
}

// speech is binary: an MP3 frame header and bytes of every value, in chunks without a length.
func (a *ask) speech(s Shape) answer {
	size := s.Size
	pick(&size, 16<<10)
	audio := make([]byte, size)
	for i := range audio {
		audio[i] = byte(i * 7)
	}
	copy(audio, "\xff\xfb\x90\x00")
	const piece = 4 << 10
	return answer{contentType: "audio/mpeg", stream: &stream{
		events: (size + piece - 1) / piece,
		event: func(dst []byte, i int) []byte {
			return append(dst, audio[i*piece:min((i+1)*piece, size)]...)
		},
	}}
}

// pixel is a PNG of one transparent pixel.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="

func (a *ask) image(s Shape) answer {
	data := pixel
	if s.Size > 0 {
		data = base64.StdEncoding.EncodeToString(filler(max(s.Size*3/4, 1)))
	}
	return jsonAnswer(`{"created":` + a.created() + `,"data":[{"b64_json":"` + data + `"}],"usage":{"total_tokens":100,"input_tokens":50,"output_tokens":50,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}}`)
}

// file answers the files API. Files are not kept: a listing is the one example file, a content is filler.
func (a *ask) file(s Shape) answer {
	example := func(id string) string {
		return `{"id":` + quote(id) + `,"object":"file","bytes":120000,"created_at":1677610602,"filename":"example.jsonl","purpose":"fine-tune","status":"processed","status_details":null,"expires_at":null}`
	}
	switch {
	case a.route == routeFiles:
		return jsonAnswer(`{"object":"list","data":[` + example("file-fake1") + `],"has_more":false,"first_id":"file-fake1","last_id":"file-fake1"}`)
	case a.route == routeFileContent:
		size := s.Size
		pick(&size, 1<<10)
		return answer{contentType: "application/octet-stream", before: filler(size)}
	case a.route == routeFile && a.r.Method == http.MethodDelete:
		return jsonAnswer(`{"id":` + quote(a.action) + `,"object":"file","deleted":true}`)
	case a.route == routeFile:
		return jsonAnswer(example(a.action))
	}
	file, purpose, ok := a.upload()
	if !ok {
		return noFile()
	}
	return jsonAnswer(`{"id":` + quote(a.id("file-")) + `,"object":"file","bytes":` + strconv.Itoa(len(file.data)) + `,"created_at":` + a.created() +
		`,"filename":` + quote(file.filename) + `,"purpose":` + quote(purpose) + `,"status":"processed","status_details":null,"expires_at":null,"sha256":"` + digest(file.data) + `"}`)
}

func (a *ask) moderation() answer {
	return jsonAnswer(`{"id":` + quote(a.id("modr-fake")) + `,"model":"omni-moderation-latest","results":[{"flagged":false,"categories":{"violence":false},"category_scores":{"violence":0.001},"category_applied_input_types":{"violence":["text"]}}]}`)
}
