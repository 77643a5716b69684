{{- define "tunegate.uninstallName" -}}
{{ include "tunegate.fullname" . }}-uninstall
{{- end }}

{{/* A hook before `helm uninstall`. Call with (list . WEIGHT): accounts and rules before the Job. */}}
{{- define "tunegate.uninstallHook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ index . 1 | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* The Secret that the webhook keeps its certificates in. */}}
{{- define "tunegate.servingSecret" -}}
{{ dig "certificates" "secret" (printf "%s-serving" (include "tunegate.webhookName" .)) (default dict .Values.webhook.config) }}
{{- end }}
