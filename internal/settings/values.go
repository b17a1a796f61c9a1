package settings

import (
	"time"

	"gpt-load/internal/secret"
)

// Values is one complete set of settings, defaults and overrides applied. Everything in it is within the
// bounds that the table states, so its readers need not check again.
type Values struct {
	AppURL    string
	ProxyKeys []secret.Text

	RequestLogRetention     time.Duration // 0 keeps for ever
	RequestLogWriteInterval time.Duration
	RequestBodyLogging      bool

	RequestTimeout        time.Duration
	ConnectTimeout        time.Duration
	IdleConnTimeout       time.Duration
	ResponseHeaderTimeout time.Duration
	MaxIdleConns          int
	MaxIdleConnsPerHost   int
	ProxyURL              secret.Text // http, https or socks5 URL, may carry credentials; empty means none
	UpstreamProtocol      string      // auto, http1 or http2

	MaxRetries          int
	BlacklistThreshold  int // counted failures that make a key invalid; 0 means never
	FailoverStatusCodes StatusCodes
	ExhaustedPatterns   []string // lower case

	KeyValidationInterval    time.Duration
	KeyValidationConcurrency int
	KeyValidationTimeout     time.Duration

	FirstTokenTimeout time.Duration // 0 means off
	StreamIdleTimeout time.Duration // 0 means off
	RateLimitCooldown time.Duration
	CooldownCap       time.Duration
	CooldownWait      time.Duration // 0 means a pool that cools is refused at once
}
