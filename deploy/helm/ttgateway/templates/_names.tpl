{{- define "ttgateway.name" -}}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{- end }}
{{- define "ttgateway.selector" -}}
app.kubernetes.io/name: ttgateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "ttgateway.labels" -}}
{{ include "ttgateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "ttgateway.secret" -}}{{ .Values.existingSecret | default (include "ttgateway.name" .) }}{{- end }}
{{- define "ttgateway.port" -}}{{ (splitList ":" .) | last }}{{- end }}
