// Package server_test installs, upgrades, rolls back and removes charts/gpt-load on a real kube-apiserver with a real etcd. There are
// neither controllers nor machines, so nothing of it runs: what is tested is what the API server says to the manifests, with all of its
// validation and admission, and what Helm makes of two versions.
//
// `./task chart:server` builds the API server, which takes minutes the first time, and runs this.
package server_test
