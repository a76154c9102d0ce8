{{- define "plimsoll.labels" -}}
app.kubernetes.io/name: plimsoll
app.kubernetes.io/component: operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "plimsoll.selector" -}}
app.kubernetes.io/name: plimsoll
app.kubernetes.io/component: operator
{{- end }}

{{- /* The name under which the API server knows the operator; admission policies compare with it. */}}
{{- define "plimsoll.username" -}}
system:serviceaccount:{{ .Release.Namespace }}:plimsoll-operator
{{- end }}
