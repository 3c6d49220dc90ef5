# pip and uv install from the index; who has to log in finds the token in the netrc file of each user.
{%- from "wheelhouse/map.jinja" import settings, refused with context %}
{%- set client = settings.client %}
{%- set host = client.index | regex_match("https?://([^/:@]+)(?::[0-9]+)?(?:/.*)?$") %}
{%- set plain = host and client.index.startswith("http://") and host[0] not in ("localhost", "127.0.0.1") %}

{%- if not host %}
{{ refused("wheelhouse index", "pillar wheelhouse:client:index is no address of an index, as https://wheels.example/simple/"
   " (a token goes into wheelhouse:client:token)") }}

{%- elif plain and not client.allow_insecure %}
{{ refused("wheelhouse index", client.index ~ " is http: whoever is on the way can change what is installed. Use https, or set"
   " wheelhouse:client:allow_insecure") }}

{%- else %}

  {%- if client.pip %}

wheelhouse pip configuration:
  file.managed:
    - name: {{ client.pip_conf | json }}
    - source: salt://wheelhouse/client/pip.conf.jinja
    - template: jinja
    - mode: "0644"
    - makedirs: true
    - context:
        trusted_host: {{ (host[0] if plain else "") | json }}
  {%- endif %}

  {%- if client.uv %}

wheelhouse uv configuration:
  file.managed:
    - name: {{ client.uv_toml | json }}
    - source: salt://wheelhouse/client/uv.toml.jinja
    - template: jinja
    - mode: "0644"
    - makedirs: true
  {%- endif %}

  {%- for each in client.users if client.token %}
    {%- set user, file = (each.items() | first) if each is mapping else (each, none) %}

wheelhouse credentials of {{ user }}:
  wheelhouse.credentials:
    - name: {{ user | json }}
    - machine: {{ host[0] | json }}
    - pillar: wheelhouse:client:token
    - login: {{ client.login | json }}
    - file: {{ file | json }}
  {%- endfor %}
{%- endif %}
