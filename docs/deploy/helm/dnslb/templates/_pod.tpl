{{/* What the pods of both elections have in common; the rest stands in the workloads. */}}
{{- define "dnslb.podMetadata" -}}
labels:
  {{- include "dnslb.selector" . | nindent 2 }}
annotations:
  # A changed file is a rolling restart.
  checksum/config: {{ .Values.config | sha256sum }}
  {{- with .Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "dnslb.podSpec" -}}
serviceAccountName: {{ include "dnslb.name" . }}
# A service may be called like a flag, and its variables would be taken for settings.
enableServiceLinks: false
# It ends within 5 s, having handed the lease over.
terminationGracePeriodSeconds: 15
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    # Two raft members on one node are lost together: then the third cannot elect.
    whenUnsatisfiable: {{ eq .Values.election "raft" | ternary "DoNotSchedule" "ScheduleAnyway" }}
    labelSelector:
      matchLabels:
        {{- include "dnslb.selector" . | nindent 8 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "dnslb.container" -}}
name: dnslb
image: {{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
# Ready whatever its role: that another one leads is no reason to be taken away.
startupProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 2
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
# The event loop turns. Trouble of a provider or of the others never fails it.
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "dnslb.mounts" -}}
- {name: data, mountPath: /var/lib/dnslb}
- {name: tmp, mountPath: /tmp}
- {name: config, mountPath: /etc/dnslb/dnslb.toml, subPath: dnslb.toml, readOnly: true}
{{- if eq .Values.election "raft" }}
- {name: tls, mountPath: /etc/dnslb/tls, readOnly: true}
{{- end }}
{{- if .Values.providerSecret }}
- {name: provider, mountPath: /etc/dnslb/provider, readOnly: true}
{{- end }}
{{- end }}

{{- define "dnslb.volumes" -}}
# With the control socket, in a directory that only dnslb may enter.
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
- name: config
  configMap: {name: {{ include "dnslb.name" . }}-config}
{{- if eq .Values.election "raft" }}
- name: tls
  secret: {secretName: {{ .Values.raft.tlsSecret }}, defaultMode: 0440}
{{- end }}
{{- with .Values.providerSecret }}
- name: provider
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}
