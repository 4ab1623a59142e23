// The LoRAs of the form.
watch('value', Easel.loraRows({ element, props, trigger }));
