#!/bin/sh
# Reads rendered manifests; fails unless the sidecar stands in at least one Deployment, a Service leads to it, and ConfigMap ttgateway is in
# the same namespace: without it pods would not start. --config-elsewhere: the ConfigMap is Helm's or another's.
#   kubectl kustomize k8s/overlays/sidecar | k8s/matched.sh
set -eu
awk -v elsewhere="${1:-}" '
  function judge() {
    if (kind == "Deployment" && container) { pods++; stands[namespace] }
    if (kind == "Service" && labelled && target) services++
    if (kind == "ConfigMap" && name == "ttgateway") configured[namespace]
    kind = ""; section = ""; name = ""; namespace = ""; container = 0; labelled = 0; target = 0
  }
  /^---/ { judge() }
  /^[A-Za-z]+:/ { section = $1 }
  /^kind: / { kind = $2 }
  section == "metadata:" && /^  name: / { name = $2 }
  section == "metadata:" && /^  namespace: / { namespace = $2 }
  section == "metadata:" && /^    ttgateway\/sidecar: ["\047]true["\047]$/ { labelled = 1 }
  /^ +(- )?name: ttgateway-ops$/ { container = 1 }  # a port that only sidecars have
  /^ +(- )?targetPort: 8080$/ { target = 1 }
  END {
    judge()
    if (!pods) print "no Deployment got the gateway: does one carry the label ttgateway/sidecar=true in its own file?"
    if (!services) print "no Service leads to the gateway: does one carry the label ttgateway/sidecar=true in its own file?"
    wrong = !pods || !services
    if (elsewhere != "--config-elsewhere") for (place in stands) if (!(place in configured)) {
      print "no ConfigMap ttgateway in " (place ? "namespace " place : "the namespace of the Deployment, which names none") ": does the overlay say namespace?"
      wrong = 1
    }
    if (wrong) exit 1
    print "the gateway stands in " pods " Deployment(s), behind " services " Service(s)"
  }
'
