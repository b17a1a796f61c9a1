// Package upstream connects to provider addresses and chooses among them.
//
// Transports makes one HTTP transport for each set of connection settings and shares it between groups. It passes
// requests and answers as they are, goes through http, https and SOCKS5 proxies, and keeps the whole way to an
// open connection (name, TCP, proxy, TLS) within one timeout. With Options.BlockPrivate every address is checked
// after its name was resolved, at each dial; a destination behind a proxy is checked before the proxy is asked.
// That proxy resolves the name again, so against a name server that gives us and the proxy different answers the
// proxy has to hold its own line.
//
// A request whose body is in memory goes out by a client of our own (http1.go), over TCP and TLS, on the goroutine of
// its caller. Bodies that stream and HTTP/2 are net/http's, with pings that find dead connections. TransportConfig.Protocol
// decides for https upstreams:
//
//	auto    HTTP/1.1; HTTP/2 for a host that refuses it in the TLS handshake, and for bodies that stream
//	http1   HTTP/1.1 only
//	http2   HTTP/2, or HTTP/1.1 for a host that does not offer it
//
// auto prefers HTTP/1.1 because it was measured to cost less (BenchmarkProtocols, client and server together: a tenth to
// a half less CPU for bodies of 1 KB, a quarter to a half less for 100 KB), and because one lost packet, one broken
// connection or one server's limit of streams then concerns one request and not a hundred. The price is one connection,
// some 20 KiB of TLS buffers and a resumed handshake for each request at the same time beyond those that are idle; who
// has thousands of streams to one host may want http2, or a larger max_idle_conns_per_host.
//
// Balancer chooses among the addresses of a standard group, and Members among the groups of an aggregate. Both
// are rings: smooth weighted round robin over what serves, tier by tier. What fails rests, and then gets one
// request at a time, its probe, until one succeeds:
//
//	                 rests after                                   first rest   longest
//	address          3 faults in a row, or 1 without a connection  1 s          60 s
//	member           3 faults in a row                             1 s          30 s
//
// A single fault rests nothing: providers fail now and then, and the other tiers and addresses would be flooded
// for it. A rest never makes a request fail: when nothing else is left, what returns first is used at once.
// Requests that were under way when a rest began do not prolong it; only a failed probe does.
package upstream
