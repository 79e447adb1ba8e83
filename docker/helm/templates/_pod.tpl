{{- define "labels" -}}
app.kubernetes.io/name: smartico-sync
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "pod" -}}
metadata:
  labels:
    {{- include "labels" . | nindent 4 }}
  annotations:
    # Another views.yaml starts the pods again: the new ones stand by until those with the old one have gone.
    smartico-sync/views: {{ .Values.views | sha256sum | trunc 16 | quote }}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 15 # it ends within 8 s, and another member takes over at once
  securityContext: # the user of docker/Dockerfile
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  topologySpreadConstraints: # one machine may go
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "labels" . | nindent 10 }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: daemon
      image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [run]
      envFrom:
        - secretRef:
            name: {{ .Values.secrets.environment }}
      ports:
        - name: health
          containerPort: 8080
      livenessProbe: # it turns, whatever the databases and the API do
        httpGet:
          path: /healthz
          port: health
        periodSeconds: 15
        timeoutSeconds: 5
        failureThreshold: 4
      readinessProbe: # it delivers, or stands by and sees the state
        httpGet:
          path: /readyz
          port: health
        periodSeconds: 5
        timeoutSeconds: 5
      startupProbe:
        httpGet:
          path: /healthz
          port: health
        periodSeconds: 2
        failureThreshold: 60
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - name: views
          mountPath: /etc/smartico-sync
          readOnly: true
        - name: state-key
          mountPath: /run/secrets/smartico-sync
          readOnly: true
        - name: tmp # the control socket of a member is here
          mountPath: /tmp
        {{- if eq .Values.state "file" }}
        - name: state
          mountPath: /var/lib/smartico-sync
        {{- end }}
  volumes:
    - name: views
      configMap:
        name: {{ .Release.Name }}
    - name: state-key
      secret:
        secretName: {{ .Values.secrets.stateKey }}
        defaultMode: 0440
    - name: tmp
      emptyDir:
        sizeLimit: 64Mi
{{- end }}
