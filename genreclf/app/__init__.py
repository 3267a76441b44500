"""The pages of the app, in Streamlit."""
