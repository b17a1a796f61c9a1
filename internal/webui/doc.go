// Package webui is the web console: a single-page application whose files are in the binary. Its source is in app, what is built
// of it comes to dist and is not committed. A binary that was built without it shows a plain page instead.
//
// Every page of the console is index.html with the path in the browser's address, so each path outside the data plane and the
// admin API leads there. It works below any path prefix that a load balancer takes away: the page names its own root relative to
// the path that was asked, and the browser knows the whole address.
package webui
