"""The page: a Gradio app. Needs the extra `app`, but for i18n, npm and player."""
