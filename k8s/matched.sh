#!/bin/sh
# Reads rendered manifests; fails unless the sidecar stands in at least one Deployment and a Service leads to it.
#   kubectl kustomize k8s/overlays/sidecar | k8s/matched.sh
set -eu
awk '
  function judge() {
    if (kind == "Deployment" && container) pods++
    if (kind == "Service" && labelled && target) services++
    kind = ""; section = ""; container = 0; labelled = 0; target = 0
  }
  /^---/ { judge() }
  /^[A-Za-z]+:/ { section = $1 }
  /^kind: / { kind = $2 }
  section == "metadata:" && /^    ttgateway\/sidecar: "?true"?$/ { labelled = 1 }
  /^ +(- )?name: ttgateway-ops$/ { container = 1 }  # a port that only sidecars have
  /^ +(- )?targetPort: 8080$/ { target = 1 }
  END {
    judge()
    if (!pods) print "no Deployment got the gateway: does one carry the label ttgateway/sidecar=true in its own file?"
    if (!services) print "no Service leads to the gateway: does one carry the label ttgateway/sidecar=true in its own file?"
    if (!pods || !services) exit 1
    print "the gateway stands in " pods " Deployment(s), behind " services " Service(s)"
  }
'
