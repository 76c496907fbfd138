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
{{- define "ttgateway.port" -}}{{ (splitList ":" .) | last }}{{- end }}
