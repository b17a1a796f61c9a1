package adminapi

import "time"

// StatisticsFilter asks for sums over whole hours. Zero fields do not filter.
type StatisticsFilter struct {
	From, To time.Time // zero takes the last 24 hours; at most 400 days apart
	GroupID  string
	Model    string
	By       []string // any of hour, group, model and proxy_key
}

// Statistics are the sums of the hourly roll-ups, which live longer than the records.
type Statistics struct {
	From  time.Time       `json:"from"`
	To    time.Time       `json:"to"`
	Total StatisticsRow   `json:"total"`
	Rows  []StatisticsRow `json:"rows"`
}

// StatisticsRow is one row of sums.
type StatisticsRow struct {
	Hour                time.Time `json:"hour,omitzero"`
	GroupID             string    `json:"group_id,omitempty"`
	Model               string    `json:"model,omitempty"`
	ProxyKeyFingerprint string    `json:"proxy_key_fingerprint,omitempty"`
	Requests            int64     `json:"requests"`
	Succeeded           int64     `json:"succeeded"`
	ClientFaults        int64     `json:"client_faults" doc:"The client's own mistakes and clients that went away."`
	Failed              int64     `json:"failed" doc:"Every other failure."`
	Retries             int64     `json:"retries" doc:"Attempts after the first."`
	RequestBytes        int64     `json:"request_bytes"`
	ResponseBytes       int64     `json:"response_bytes"`
	MeanDurationMS      int64     `json:"mean_duration_ms"`
	MeanFirstByteMS     int64     `json:"mean_first_byte_ms" doc:"Over the requests that sent a body byte."`
}
