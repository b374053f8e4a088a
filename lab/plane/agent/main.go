// Command agent is Istio's pilot-agent, unchanged: its own main wires the same SDS server.
package main

import (
	"os"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/cmd/pilot-agent/app"
	istioagent "istio.io/istio/pkg/istio-agent"
	"istio.io/istio/pkg/log"
	"istio.io/istio/pkg/security"
	"istio.io/istio/security/pkg/nodeagent/sds"
)

func main() {
	log.EnableKlogWithCobra()
	root := app.NewRootCommand(newSDS)
	if err := root.Execute(); err != nil {
		log.Error(err)
		os.Exit(1)
	}
}

func newSDS(o *security.Options, cache security.SecretManager, keys *meshconfig.PrivateKeyProvider) istioagent.SDSService {
	return sds.NewServer(o, cache, keys)
}
