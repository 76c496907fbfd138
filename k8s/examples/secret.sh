#!/bin/sh
# The token's Secret, from standard input, so that it stands in no file and no history:  ./secret.sh NAMESPACE < token
# Run it again to rotate: within a minute (the kubelet's period) the new token is in use, and no pod restarts.
set -eu
kubectl create secret generic ttgateway -n "$1" --from-file=tiktok-token=/dev/stdin --dry-run=client -o yaml | kubectl apply -f -
