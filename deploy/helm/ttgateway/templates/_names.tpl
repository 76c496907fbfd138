{{- define "ttgateway.name" -}}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{- end }}
{{- define "ttgateway.selector" -}}
app.kubernetes.io/name: ttgateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- /* The pods that visitors reach. */ -}}
{{- define "ttgateway.edges" -}}
{{ include "ttgateway.selector" . }}
{{- if eq .Values.mode "roles" }}
app.kubernetes.io/component: edge
{{- end }}
{{- end }}
{{- define "ttgateway.listens" -}}{{ if or (eq .Values.mode "standalone") (and (eq .Values.mode "roles") .Values.roles.edge.enabled) }}true{{ end }}{{- end }}
{{- /* What the pods are told: in roles, the broker is added and the UI's section is for the admin pods. */ -}}
{{- define "ttgateway.config" -}}
{{- if eq .Values.mode "roles" }}
{{- $delivery := .Values.config.delivery | default dict }}
{{- $most := ternary .Values.roles.deliver.autoscaling.maxReplicas .Values.roles.deliver.replicas .Values.roles.deliver.autoscaling.enabled }}
{{- $pending := mul 4 (int ($delivery.max_batch | default 1000)) (int ($delivery.in_flight | default 8)) (max 1 (int $most)) }}
{{- $broker := dict "kind" "jetstream" "url" (required "mode roles needs nats.url" .Values.nats.url) "replicas" (int .Values.nats.replicas) "max_ack_pending" (max 64000 $pending) }}
{{- if .Values.nats.credentialsSecret }}
{{- $broker = merge $broker (dict "credentials" "/run/secrets/nats/nats.creds") }}
{{- end }}
{{- toYaml (merge (dict "spool" (merge (dict) .Values.config.spool $broker)) (omit .Values.config "spool" "admin")) }}
{{- else }}
{{- toYaml .Values.config }}
{{- end }}
{{- end }}
{{- define "ttgateway.labels" -}}
{{ include "ttgateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "ttgateway.secret" -}}{{ .Values.existingSecret | default (include "ttgateway.name" .) }}{{- end }}
{{- /* Bytes of 1GiB, 500MB, 2Gi or a number; nothing for what is not understood, a reference above all. */ -}}
{{- define "ttgateway.bytes" -}}
{{- if kindIs "string" . }}
{{- $units := dict "" 1 "k" 1000 "K" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- $unit := regexReplaceAll "B$" (regexReplaceAll "^\\s*[0-9.]+\\s*" . "" | trim) "" }}
{{- if and (regexMatch "^\\s*[0-9]" .) (hasKey $units $unit) }}
{{- mulf (regexFind "[0-9.]+" . | float64) (get $units $unit) | int64 }}
{{- end }}
{{- else }}
{{- int64 . }}
{{- end }}
{{- end }}
{{- /* Of the spool's volume: pages in use and write-ahead log are max_bytes together, and either may have been all of it before. */ -}}
{{- define "ttgateway.size" -}}
{{- $spool := .Values.config.spool }}
{{- $most := include "ttgateway.bytes" ($spool.max_bytes | default "1GiB") }}
{{- $name := "max_bytes" }}
{{- if eq .Values.mode "roles" }}
{{- /* max_bytes is the broker's; a pod keeps no more than this while it is away. */ -}}
{{- $most = include "ttgateway.bytes" ($spool.local_max_bytes | default (ternary "1GiB" $most (gt (int64 $most) 1073741824))) }}
{{- $name = "local_max_bytes (or max_bytes, at most 1GiB)" }}
{{- end }}
{{- $size := include "ttgateway.bytes" .Values.persistence.size }}
{{- if and $most $size (lt (int64 $size) (mul 2 (int64 $most))) }}
{{- fail (printf "persistence.size %s is less than twice config.spool.%s: the spool would fill its volume before it refuses events" (toString .Values.persistence.size) $name) }}
{{- end }}
{{- .Values.persistence.size }}
{{- end }}
{{- define "ttgateway.port" -}}{{ (splitList ":" .) | last }}{{- end }}
