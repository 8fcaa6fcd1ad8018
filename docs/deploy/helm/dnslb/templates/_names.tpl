{{/* The release's name, with that of the program where it lacks it. */}}
{{- define "dnslb.name" -}}
{{- if contains "dnslb" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-dnslb" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "dnslb.selector" -}}
app.kubernetes.io/name: dnslb
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "dnslb.labels" -}}
{{ include "dnslb.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "dnslb.lock" -}}
{{- .Values.k8s.lockName | default (include "dnslb.name" .) -}}
{{- end }}

{{- define "dnslb.replicas" -}}
{{- .Values.replicas | default (eq .Values.election "raft" | ternary 3 2) -}}
{{- end }}
